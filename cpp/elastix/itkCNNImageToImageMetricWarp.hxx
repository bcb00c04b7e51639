// SPDX-License-Identifier: Apache-2.0
#ifndef itkCNNImageToImageMetricWarp_hxx
#define itkCNNImageToImageMetricWarp_hxx

#include "cnnmetricCubicBSpline.h"
#include "itkAdvancedBSplineDeformableTransformBase.h"
#include "itkAdvancedCombinationTransform.h"
#include "itkCNNImageToImageMetric.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace itk
{

/** \class AdvancedWarp
 * \brief I_m(T(x)) and its derivatives by elastix's transform and interpolator.
 *
 * Cubic B-splines, the usual deformable transform, are computed here; elastix takes several times as long for a point.
 * Everything else goes through the virtual functions of elastix's transform. */
template <typename TFixedImage, typename TMovingImage>
class CNNImageToImageMetric<TFixedImage, TMovingImage>::AdvancedWarp : public cnnmetric::Warp<ImageDimension>
{
public:
  using Base = cnnmetric::Warp<ImageDimension>;
  using typename Base::GradientType;
  using typename Base::PointType;
  using typename Base::Voxel;
  using TransformType = typename Superclass::AdvancedTransformType;
  using BSplineType = cnnmetric::CubicBSpline<ImageDimension>;
  using VectorType = typename BSplineType::VectorType;

  AdvancedWarp(const Self & metric, const unsigned int numberOfWorkers)
    : m_Metric(metric)
    , m_Transform(*metric.m_AdvancedTransform)
    , m_Initial(FindInitialTransform(m_Transform))
    , m_BSpline(FindBSpline(m_Transform))
    , m_Scratch(numberOfWorkers)
  {
    for (Scratch & scratch : m_Scratch)
    {
      scratch.imageJacobian.SetSize(m_Transform.GetNumberOfNonZeroJacobianIndices());
      scratch.nonZeroIndices.resize(m_Transform.GetNumberOfNonZeroJacobianIndices());
    }
  }

  /** Whether where an initial transform takes the voxels is asked for again and again, and takes time. */
  static bool
  IsWorthCaching(const TransformType & transform)
  {
    const auto * const initial = FindInitialTransform(transform);
    return initial && !initial->IsLinear() && FindBSpline(transform);
  }

  std::size_t
  GetNumberOfParameters() const override
  {
    return m_Transform.GetNumberOfParameters();
  }

  bool
  Evaluate(const Voxel & x, const unsigned int worker, double & intensity, GradientType & gradient) const override
  {
    typename Superclass::RealType                  value{};
    typename Superclass::MovingImageDerivativeType derivative;
    if (!m_Metric.FastEvaluateMovingImageValueAndDerivative(TransformPoint(x), value, &derivative, worker))
    {
      return false;
    }
    intensity = value;
    gradient = derivative;
    return true;
  }

  bool
  IsInsideMovingMask(const Voxel & x) const override
  {
    return m_Metric.IsInsideMovingMask(TransformPoint(x));
  }

  void
  AccumulateDerivative(const Voxel &        x,
                       const GradientType & metricGradient,
                       const unsigned int   worker,
                       double * const       derivative) const override
  {
    if (m_BSpline)
    {
      VectorType gradient;
      std::copy_n(metricGradient.Begin(), ImageDimension, gradient.begin());
      typename BSplineType::Support support;
      if (m_BSpline->Find(ToVector(TransformByInitial(x)), support))
      {
        m_BSpline->AccumulateDerivative(support, gradient, derivative);
      }
      return;
    }
    Scratch & scratch = m_Scratch[worker];
    // For a point outside of its grid, where the Jacobian is zero, RecursiveBSplineTransform (elastix 5.3.1) writes
    // nothing.
    scratch.imageJacobian.Fill(0.0);
    m_Transform.EvaluateJacobianWithImageGradientProduct(
      x.point, metricGradient, scratch.imageJacobian, scratch.nonZeroIndices);
    for (std::size_t i = 0; i < scratch.nonZeroIndices.size(); ++i)
    {
      derivative[scratch.nonZeroIndices[i]] += scratch.imageJacobian[i];
    }
  }

private:
  using CombinationType = AdvancedCombinationTransform<double, ImageDimension>;
  using InitialType = typename CombinationType::InitialTransformType;

  struct Scratch
  {
    DerivativeType                                  imageJacobian{};
    typename Superclass::NonZeroJacobianIndicesType nonZeroIndices{};
  };

  static VectorType
  ToVector(const PointType & point)
  {
    VectorType vector;
    std::copy_n(point.Begin(), ImageDimension, vector.begin());
    return vector;
  }

  /** The transform that is applied before the one whose parameters change; nullptr if there is none. */
  static const InitialType *
  FindInitialTransform(const TransformType & transform)
  {
    const auto * const combination = dynamic_cast<const CombinationType *>(&transform);
    return combination ? combination->GetInitialTransform() : nullptr;
  }

  /** The transform as cubic B-splines that follow the initial transform; nothing if it is another one. */
  static std::optional<BSplineType>
  FindBSpline(const TransformType & transform)
  {
    const TransformType * current = &transform;
    if (const auto * const combination = dynamic_cast<const CombinationType *>(&transform))
    {
      if (combination->GetInitialTransform() && !combination->GetUseComposition())
      {
        return {};
      }
      current = combination->GetCurrentTransform();
    }
    const auto * const found =
      dynamic_cast<const AdvancedBSplineDeformableTransformBase<double, ImageDimension> *>(current);
    if (!found || found->GetSplineOrder() != 3)
    {
      return {};
    }
    // Others of this family have grids of their own, as the one for cyclic motion.
    const std::string name = found->GetNameOfClass();
    if (name != "AdvancedBSplineDeformableTransform" && name != "RecursiveBSplineTransform")
    {
      return {};
    }
    const auto &                                   region = found->GetGridRegion();
    const auto                                     toPoint = found->GetGridDirection().GetVnlMatrix();
    Matrix<double, ImageDimension, ImageDimension> spaced;
    for (unsigned int row = 0; row < ImageDimension; ++row)
    {
      for (unsigned int column = 0; column < ImageDimension; ++column)
      {
        spaced(row, column) = toPoint(row, column) * found->GetGridSpacing()[column];
      }
    }
    const auto  toIndex = spaced.GetInverse();
    BSplineType spline;
    for (unsigned int d = 0; d < ImageDimension; ++d)
    {
      const auto & coefficients = found->GetCoefficientImages()[d];
      if (region.GetIndex(d) != 0 || !coefficients || !coefficients->GetBufferPointer())
      {
        return {};
      }
      spline.size[d] = static_cast<std::ptrdiff_t>(region.GetSize(d));
      spline.origin[d] = found->GetGridOrigin()[d];
      spline.coefficients[d] = coefficients->GetBufferPointer();
      for (unsigned int e = 0; e < ImageDimension; ++e)
      {
        spline.pointToIndex[d][e] = toIndex(d, e);
      }
    }
    return spline;
  }

  PointType
  TransformByInitial(const Voxel & x) const
  {
    if (!m_Initial)
    {
      return x.point;
    }
    const auto compute = [&]() -> PointType { return m_Initial->TransformPoint(x.point); };
    return m_Metric.m_InitialPoints ? m_Metric.m_InitialPoints->Get(x.number, compute) : compute();
  }

  PointType
  TransformPoint(const Voxel & x) const
  {
    if (!m_BSpline)
    {
      return m_Transform.TransformPoint(x.point);
    }
    PointType                     point = TransformByInitial(x);
    typename BSplineType::Support support;
    if (m_BSpline->Find(ToVector(point), support))
    {
      const VectorType displacement = m_BSpline->GetDisplacement(support);
      for (unsigned int d = 0; d < ImageDimension; ++d)
      {
        point[d] += displacement[d];
      }
    }
    return point;
  }

  const Self &                     m_Metric;
  const TransformType &            m_Transform;
  const InitialType * const        m_Initial;
  const std::optional<BSplineType> m_BSpline;
  mutable std::vector<Scratch>     m_Scratch;
};

} // namespace itk

#endif
