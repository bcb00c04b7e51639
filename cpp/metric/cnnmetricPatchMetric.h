// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricPatchMetric_h
#define cnnmetricPatchMetric_h

#include "cnnmetricEvaluator.h"
#include "cnnmetricSettings.h"

#include <itkImageBase.h>

#include <memory>
#include <set>
#include <string>

namespace cnnmetric
{

/** \class PatchMetric
 * \brief The metric that the adapters for elastix and ITKv4 share: settings, model, resolution level and blocks.
 *
 * For every level call Configure, then StartLevel, then Evaluate any number of times. The object is not thread-safe,
 * because an optimizer asks for one evaluation at a time. The work of an evaluation is spread over threads.
 */
template <unsigned int VDimension>
class PatchMetric
{
public:
  using EvaluatorType = Evaluator<VDimension>;
  using BlocksType = typename EvaluatorType::BlocksType;
  using GeneratorType = typename EvaluatorType::GeneratorType;
  using WarpType = typename EvaluatorType::WarpType;
  using FixedDomain = typename EvaluatorType::FixedDomain;
  using ImageBaseType = itk::ImageBase<VDimension>;

  /** What the framework's own sampling parameters ask for. The settings have precedence. */
  struct SamplingRequest
  {
    Sampling sampling{ Sampling::Blocks };
    /** Patches per evaluation; 0 for the default. If the grid has no more patches, all of it is evaluated. */
    std::size_t numberOfPatches{};
  };

  /** The share of the patches that has to be valid, and which masks there are, for the message. */
  struct ValidityRule
  {
    double requiredRatio{ 0.25 };
    bool   hasFixedMask{};
    bool   hasMovingMask{};
  };

  /** Keep the settings, and load the model unless it is the same as before. */
  void
  Configure(const Settings & settings);

  /** Lay the evaluation grid into a region of an image and sample the fixed image there.
   * \param originalFixedImage, originalMovingImage the full-resolution images, for the intensity normalisation */
  template <typename TFixedImage, typename TMovingImage>
  void
  StartLevel(const ImageBaseType &                      gridImage,
             const typename ImageBaseType::RegionType & gridRegion,
             const FixedDomain &                        fixedDomain,
             const TFixedImage &                        originalFixedImage,
             const TMovingImage &                       originalMovingImage);

  /** Draw new random blocks at the next evaluation. */
  void
  DrawNewBlocks()
  {
    m_RandomBlocks.clear();
  }

  /** M, and its derivative unless that is nullptr, over the blocks that settings and request ask for. Throws Error if
   * fewer patches are valid than the rule asks for. */
  Evaluation
  Evaluate(const WarpType &        warp,
           const SamplingRequest & request,
           const ValidityRule &    rule,
           GeneratorType &         generator,
           unsigned int            numberOfWorkers,
           double *                derivative);

  /** M over the whole grid, for any sampling; and place by place with its derivative, unless maps is nullptr. */
  Evaluation
  EvaluateFull(const WarpType & warp, const ValidityRule & rule, unsigned int numberOfWorkers, Maps * maps = nullptr);

  /** Number of threads of an evaluation.
   * \param numberOfWorkUnits as the framework is configured */
  unsigned int
  GetNumberOfWorkers(unsigned int numberOfWorkUnits) const;

  const EvaluatorType &
  GetEvaluator() const;

  /** Distance of the voxels of the evaluation grid, in mm. */
  double
  GetGridSpacing() const
  {
    return m_GridSpacing;
  }

  /** Add to the warning if the framework's sampling parameters, which are meant for single voxels, ask for far more work
   * than the default. Call it after StartLevel. */
  void
  WarnOfCost(const SamplingRequest & request);

  /** What the user should know about this level and has not been told before by this object, for example that its grid
   * is finer than asked for; empty if there is nothing. Valid after StartLevel. */
  const std::string &
  GetWarning() const
  {
    return m_Warning;
  }

  /** Where the time of the evaluations since StartLevel went. */
  const Profile &
  GetProfile() const
  {
    return m_Profile;
  }

  /** One line for the log; valid after StartLevel. */
  std::string
  Describe(const SamplingRequest & request, unsigned int numberOfWorkers) const;

private:
  static void
  CheckSettings(const Settings & settings);

  /** The spacing of the settings, or the default where there is none; adds to the warning. */
  double
  ChooseGridSpacing(const GridSize<VDimension> & gridSize);

  /** Throw Error if a block has more voxels than a network can hold. */
  void
  CheckBlockSize() const;

  /** Add to the warning, unless this object has said the same before.
   * \param name what two texts with other numbers have in common; the text itself if it is empty */
  void
  Warn(const std::string & text, const std::string & name = {});

  /** Number of random blocks per evaluation; 0 for the whole grid. */
  unsigned int
  GetNumberOfBlocks(const SamplingRequest & request) const;

  const BlocksType &
  GetBlocks(const SamplingRequest & request, GeneratorType & generator);

  static void
  CheckValidPatches(const Evaluation & evaluation, const ValidityRule & rule);

  Settings                             m_Settings{};
  std::shared_ptr<const Network>       m_Network{};
  std::string                          m_NetworkDevice{};
  std::unique_ptr<const EvaluatorType> m_Evaluator{};
  double                               m_GridSpacing{};
  std::string                          m_Warning{};
  std::set<std::string>                m_Warned{}; // texts, and the names of warnings that come once
  Profile                              m_Profile{};
  unsigned int                         m_FixedChannel{};
  unsigned int                         m_BlockSize{ 0 };
  /** Tiles of the whole grid. */
  BlocksType m_Tiles{};
  /** Empty until they are drawn. */
  BlocksType m_RandomBlocks{};
};

} // namespace cnnmetric

#include "cnnmetricPatchMetric.hxx"

#endif
