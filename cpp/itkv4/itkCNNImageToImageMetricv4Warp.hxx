// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetricv4Warp_hxx
#define itkCNNImageToImageMetricv4Warp_hxx

#include "cnnmetricLinearInterpolation.h"
#include "itkCNNImageToImageMetricv4.h"

#include <itkBSplineBaseTransform.h>
#include <itkCompositeTransform.h>

namespace itk
{

/** \class TransformWarp
 * \brief I_m(T(x)) and its derivatives by ITK's moving transform and interpolator. */
template <typename TFixedImage, typename TMovingImage, typename TVirtualImage>
class CNNImageToImageMetricv4<TFixedImage, TMovingImage, TVirtualImage>::TransformWarp
  : public cnnmetric::Warp<ImageDimension>
{
public:
  using Base = cnnmetric::Warp<ImageDimension>;
  using typename Base::GradientType;
  using typename Base::PointType;
  using typename Base::Voxel;
  using LinearInterpolatorType = LinearInterpolateImageFunction<MovingImageType, double>;
  template <typename TCoefficient>
  using BSplineInterpolatorType = BSplineInterpolateImageFunction<MovingImageType, double, TCoefficient>;

  TransformWarp(const Self & metric, const unsigned int numberOfWorkers)
    : m_Metric(metric)
    , m_Transform(*metric.m_MovingTransform)
    , m_Interpolator(*metric.m_MovingInterpolator)
    , m_LinearInterpolator(dynamic_cast<const LinearInterpolatorType *>(&m_Interpolator))
    , m_BSplineInterpolator(dynamic_cast<const BSplineInterpolatorType<double> *>(&m_Interpolator))
    , m_BSplineInterpolatorFloat(dynamic_cast<const BSplineInterpolatorType<float> *>(&m_Interpolator))
    , m_NumberOfParameters(metric.GetNumberOfParameters())
    , m_HasLocalSupport(metric.HasLocalSupport())
    , m_BSplineTransform(FindBSplineTransform())
    , m_Scratch(numberOfWorkers)
  {
    if (!m_LinearInterpolator && !m_BSplineInterpolator && !m_BSplineInterpolatorFloat)
    {
      throw cnnmetric::Error(std::string("The moving interpolator is a ") + m_Interpolator.GetNameOfClass() +
                             ", whose derivative is not known. Set a LinearInterpolateImageFunction or a "
                             "BSplineInterpolateImageFunction.");
    }
    for (Scratch & scratch : m_Scratch)
    {
      scratch.jacobian.SetSize(ImageDimension, metric.GetNumberOfLocalParameters());
    }
  }

  std::size_t
  GetNumberOfParameters() const override
  {
    return m_NumberOfParameters;
  }

  bool
  Evaluate(const Voxel & x, const unsigned int, double & intensity, GradientType & gradient) const override
  {
    const PointType                         y = m_Transform.TransformPoint(x.point);
    ContinuousIndex<double, ImageDimension> position;
    m_Interpolator.ConvertPointToContinuousIndex(y, position);
    if (!m_Interpolator.IsInsideBuffer(position))
    {
      return false;
    }
    if (m_LinearInterpolator)
    {
      intensity = cnnmetric::InterpolateLinearly(*m_Metric.GetMovingImage(), position, gradient);
    }
    else if (m_BSplineInterpolator)
    {
      m_BSplineInterpolator->EvaluateValueAndDerivativeAtContinuousIndex(position, intensity, gradient);
    }
    else
    {
      m_BSplineInterpolatorFloat->EvaluateValueAndDerivativeAtContinuousIndex(position, intensity, gradient);
    }
    return true;
  }

  bool
  IsInsideMovingMask(const Voxel & x) const override
  {
    return !m_Metric.m_MovingImageMask ||
           m_Metric.m_MovingImageMask->IsInsideInWorldSpace(m_Transform.TransformPoint(x.point));
  }

  void
  AccumulateDerivative(const Voxel &        voxel,
                       const GradientType & metricGradient,
                       const unsigned int   worker,
                       double * const       derivative) const override
  {
    // A CompositeTransform of one transform fills in a Jacobian even if that is not optimised.
    if (m_NumberOfParameters == 0)
    {
      return;
    }
    const PointType & x = voxel.point;
    if (m_BSplineTransform)
    {
      AccumulateBSplineDerivative(x, metricGradient, derivative);
      return;
    }
    Scratch & scratch = m_Scratch[worker];
    m_Transform.ComputeJacobianWithRespectToParametersCachedTemporaries(
      x, scratch.jacobian, scratch.jacobianByPosition);
    const auto numberOfLocalParameters = static_cast<unsigned int>(scratch.jacobian.cols());

    // A displacement field moves x by the values of the voxels around it, and each of them gets its share. For all
    // other transforms, all parameters move x.
    const auto add = [&](const double share, double * const target) {
      for (unsigned int d = 0; d < ImageDimension; ++d)
      {
        const double factor = share * metricGradient[d];
        for (unsigned int i = 0; i < numberOfLocalParameters; ++i)
        {
          target[i] += factor * scratch.jacobian(d, i);
        }
      }
    };
    if (!m_HasLocalSupport)
    {
      add(1.0, derivative);
      return;
    }
    const auto & domain = *m_Metric.GetVirtualImage();
    const auto   position = domain.template TransformPhysicalPointToContinuousIndex<double>(x);
    cnnmetric::VisitLinearWeights(
      domain.GetBufferedRegion(), position, [&](const auto & index, const double weight, const auto &) {
        add(weight, derivative + m_Metric.ComputeParameterOffsetFromVirtualIndex(index, numberOfLocalParameters));
      });
  }

private:
  using CompositeType = CompositeTransform<double, ImageDimension>;
  using BSplineTransformType = BSplineBaseTransform<double, ImageDimension, 3>;

  /** The B-spline transform that is optimised, or nullptr. It has to be the only transform, or the first that is
   * applied, before others that are not optimised. */
  const BSplineTransformType *
  FindBSplineTransform() const
  {
    const auto * const composite = dynamic_cast<const CompositeType *>(&m_Transform);
    if (!composite)
    {
      return dynamic_cast<const BSplineTransformType *>(&m_Transform);
    }
    const auto last = composite->GetNumberOfTransforms() - 1;
    for (SizeValueType n = 0; n < last; ++n)
    {
      if (composite->GetNthTransformToOptimize(n))
      {
        return nullptr;
      }
    }
    return dynamic_cast<const BSplineTransformType *>(composite->GetNthTransformConstPointer(last));
  }

  /** Use that only 4^D numbers per axis of dT/dtheta of a B-spline transform are not zero. ITK's own Jacobian is a full
   * matrix. */
  void
  AccumulateBSplineDerivative(const PointType & x, const GradientType & metricGradient, double * const derivative) const
  {
    typename BSplineTransformType::WeightsType             weights;
    typename BSplineTransformType::ParameterIndexArrayType indices;
    PointType                                              y;
    bool                                                   isInside = true;
    m_BSplineTransform->TransformPoint(x, y, weights, indices, isInside);
    if (!isInside)
    {
      return; // B-splines do not move points outside of their grid
    }

    GradientType gradient = metricGradient;
    if (const auto * const composite = dynamic_cast<const CompositeType *>(&m_Transform))
    {
      // Chain rule: T = T_0(T_1(... B(x))), so that dM/dB = dM/dT J_0 J_1 ...
      using MatrixType = Matrix<double, ImageDimension, ImageDimension>;
      MatrixType product;
      product.SetIdentity();
      for (SizeValueType n = composite->GetNumberOfTransforms() - 1; n-- > 0;)
      {
        const auto & outer = *composite->GetNthTransformConstPointer(n);
        typename Superclass::MovingTransformType::JacobianPositionType jacobian;
        outer.ComputeJacobianWithRespectToPosition(y, jacobian);
        product = MatrixType(jacobian) * product;
        y = outer.TransformPoint(y);
      }
      for (unsigned int column = 0; column < ImageDimension; ++column)
      {
        gradient[column] = 0.0;
        for (unsigned int row = 0; row < ImageDimension; ++row)
        {
          gradient[column] += metricGradient[row] * product(row, column);
        }
      }
    }

    const auto numberPerDimension = m_BSplineTransform->GetNumberOfParametersPerDimension();
    for (unsigned int i = 0; i < BSplineTransformType::NumberOfWeights; ++i)
    {
      for (unsigned int d = 0; d < ImageDimension; ++d)
      {
        derivative[indices[i] + d * numberPerDimension] += gradient[d] * weights[i];
      }
    }
  }

  struct Scratch
  {
    typename Superclass::JacobianType jacobian{};
    typename Superclass::JacobianType jacobianByPosition{};
  };

  const Self &                                        m_Metric;
  const typename Superclass::MovingTransformType &    m_Transform;
  const typename Superclass::MovingInterpolatorType & m_Interpolator;
  const LinearInterpolatorType *                      m_LinearInterpolator;
  const BSplineInterpolatorType<double> *             m_BSplineInterpolator;
  const BSplineInterpolatorType<float> *              m_BSplineInterpolatorFloat;
  std::size_t                                         m_NumberOfParameters;
  bool                                                m_HasLocalSupport;
  const BSplineTransformType *                        m_BSplineTransform;
  mutable std::vector<Scratch>                        m_Scratch;
};

} // namespace itk

#endif
