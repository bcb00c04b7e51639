// SPDX-License-Identifier: Apache-2.0
#include "cnnmetricOperators.h"

#include "cnnmetricError.h"
#include "cnnmetricSelfSimilarity.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

namespace cnnmetric::onnxruntime
{

namespace
{

using Place = SelfSimilarity::Place;

std::int64_t
ReadNumber(const OrtKernelInfo * const info, const char * const name)
{
  std::int64_t value{};
  Check(Api().KernelInfoGetAttribute_int64(info, name, &value));
  return value;
}

float
ReadFloat(const OrtKernelInfo * const info, const char * const name)
{
  float value{};
  Check(Api().KernelInfoGetAttribute_float(info, name, &value));
  return value;
}

std::vector<std::int64_t>
ReadNumbers(const OrtKernelInfo * const info, const char * const name)
{
  std::size_t count{};
  Check(Api().KernelInfoGetAttributeArray_int64(info, name, nullptr, &count));
  std::vector<std::int64_t> values(count);
  Check(Api().KernelInfoGetAttributeArray_int64(info, name, values.data(), &count));
  return values;
}

SelfSimilarity
ReadSelfSimilarity(const OrtKernelInfo * const info)
{
  SelfSimilarity::Settings settings;
  settings.window = ReadNumber(info, "window");
  settings.box = ReadNumber(info, "box");
  settings.stride = ReadNumber(info, "stride");
  settings.noiseFloor = ReadFloat(info, "noise_floor");
  settings.hasStrength = ReadNumber(info, "strength") != 0;
  settings.strong = ReadFloat(info, "strong");
  for (const std::int64_t channels : ReadNumbers(info, "groups"))
  {
    settings.groups.push_back(static_cast<std::size_t>(std::max<std::int64_t>(channels, 0)));
  }
  settings.dimension = static_cast<unsigned int>(ReadNumber(info, "dimension"));
  const auto        numbers = ReadNumbers(info, "taps");
  const std::size_t perPair = 2 * settings.dimension;
  if ((settings.dimension != 2 && settings.dimension != 3) || numbers.size() % perPair != 0)
  {
    throw Error("the numbers of its self-similarities do not fit together");
  }
  for (std::size_t first = 0; first < numbers.size(); first += perPair)
  {
    std::array<Place, 2> taps{};
    for (std::size_t i = 0; i < perPair; ++i)
    {
      taps[i / settings.dimension][3 - settings.dimension + i % settings.dimension] = numbers[first + i];
    }
    settings.taps.push_back(taps);
  }
  return SelfSimilarity(settings);
}

/** A tensor of floats (B, C, z, y, x), in two dimensions without z. */
struct Input
{
  const float *             data{};
  std::vector<std::int64_t> shape{};

  std::size_t
  NumberOfImages() const
  {
    return static_cast<std::size_t>(shape[0]);
  }

  Place
  Extent() const
  {
    Place place{ 1, 1, 1 };
    std::copy(shape.begin() + 2, shape.end(), place.end() - static_cast<std::ptrdiff_t>(shape.size() - 2));
    return place;
  }
};

Input
ReadInput(const OrtKernelContext * const context, const std::size_t number)
{
  const OrtValue * value = nullptr;
  Check(Api().KernelContext_GetInput(context, number, &value));
  OrtTensorTypeAndShapeInfo * created = nullptr;
  Check(Api().GetTensorTypeAndShape(value, &created));
  const Handle<OrtTensorTypeAndShapeInfo> information(created, Api().ReleaseTensorTypeAndShapeInfo);
  std::size_t                             axes{};
  Check(Api().GetDimensionsCount(information.get(), &axes));
  Input input;
  input.shape.resize(axes);
  Check(Api().GetDimensions(information.get(), input.shape.data(), axes));
  void * data = nullptr;
  Check(Api().GetTensorMutableData(const_cast<OrtValue *>(value), &data));
  input.data = static_cast<const float *>(data);
  return input;
}

/** Images of one channel, of the dimension that the attributes speak of. */
Input
ReadImages(const OrtKernelContext * const context, const SelfSimilarity & layers)
{
  const Input images = ReadInput(context, 0);
  if (images.shape.size() != 2 + layers.GetDimension() || images.shape[1] != 1)
  {
    throw Error("its self-similarities are not of images of one channel and " + std::to_string(layers.GetDimension()) +
                " dimensions");
  }
  return images;
}

float *
MakeOutput(OrtKernelContext * const context, const std::vector<std::int64_t> & shape)
{
  OrtValue * value = nullptr;
  Check(Api().KernelContext_GetOutput(context, 0, shape.data(), shape.size(), &value));
  void * data = nullptr;
  Check(Api().GetTensorMutableData(value, &data));
  return static_cast<float *>(data);
}

/** The threads of the session. */
SelfSimilarity::Parallel
ThreadsOf(const OrtKernelContext * const context)
{
  return [context](const std::size_t numberOfPieces, const std::function<void(std::size_t)> & work) {
    // An exception, as of memory that is not there, must not leave a thread of ONNX Runtime.
    struct Shared
    {
      const std::function<void(std::size_t)> & work;
      std::mutex                               mutex{};
      std::exception_ptr                       error{};
    } shared{ work };
    const auto piece = [](void * const given, const std::size_t number) {
      auto & data = *static_cast<Shared *>(given);
      try
      {
        data.work(number);
      }
      catch (...)
      {
        const std::lock_guard<std::mutex> lock(data.mutex);
        data.error = std::current_exception();
      }
    };
    constexpr std::size_t asManyBatchesAsThreads = 0;
    Check(Api().KernelContext_ParallelFor(context, piece, numberOfPieces, asManyBatchesAsThreads, &shared));
    if (shared.error)
    {
      std::rethrow_exception(shared.error);
    }
  };
}

std::size_t
Volume(const Place & extent)
{
  return static_cast<std::size_t>(extent[0] * extent[1] * extent[2]);
}

void
Forward(const SelfSimilarity & layers, OrtKernelContext * const context)
{
  const Input               images = ReadImages(context, layers);
  const Place               extent = images.Extent();
  const Place               result = layers.GetShapeOfResult(extent);
  std::vector<std::int64_t> shape{ images.shape[0], static_cast<std::int64_t>(layers.GetNumberOfChannels()) };
  shape.insert(shape.end(), result.end() - static_cast<std::ptrdiff_t>(layers.GetDimension()), result.end());
  float * const     output = MakeOutput(context, shape);
  const std::size_t step = layers.GetNumberOfChannels() * Volume(result);
  for (std::size_t i = 0; i < images.NumberOfImages(); ++i)
  {
    layers.Forward(extent, images.data + i * Volume(extent), output + i * step, ThreadsOf(context));
  }
}

void
Backward(const SelfSimilarity & layers, OrtKernelContext * const context)
{
  const Input       images = ReadImages(context, layers);
  const Input       cotangents = ReadInput(context, 1);
  const Place       extent = images.Extent();
  const std::size_t step = layers.GetNumberOfChannels() * Volume(layers.GetShapeOfResult(extent));
  if (cotangents.shape.size() != images.shape.size() || cotangents.shape[0] != images.shape[0] ||
      cotangents.Extent() != layers.GetShapeOfResult(extent) ||
      cotangents.shape[1] != static_cast<std::int64_t>(layers.GetNumberOfChannels()))
  {
    throw Error("its self-similarities and their gradients are of different shapes");
  }
  float * const output = MakeOutput(context, images.shape);
  for (std::size_t i = 0; i < images.NumberOfImages(); ++i)
  {
    layers.Backward(extent,
                    images.data + i * Volume(extent),
                    cotangents.data + i * step,
                    output + i * Volume(extent),
                    ThreadsOf(context));
  }
}

/** Do something, and hand an exception over as ONNX Runtime's functions do. */
template <typename TWork>
OrtStatusPtr
Guarded(const TWork & work) noexcept
{
  try
  {
    work();
    return nullptr;
  }
  catch (const std::bad_alloc &)
  {
    return Api().CreateStatus(ORT_FAIL, OutOfMemory);
  }
  catch (const std::exception & error)
  {
    return Api().CreateStatus(ORT_FAIL, error.what());
  }
}

using Computation = void (*)(const SelfSimilarity &, OrtKernelContext *);

/** An operator with the attributes of SelfSimilarity. */
template <Computation VComputation>
OrtCustomOp
MakeOperator(const char * (*const name)(const OrtCustomOp *), std::size_t (*const numberOfInputs)(const OrtCustomOp *))
{
  OrtCustomOp made{};
  made.version = ApiVersion;
  made.GetName = name;
  made.GetExecutionProviderType = [](const OrtCustomOp *) -> const char * { return nullptr; }; // that of the CPU
  made.GetInputTypeCount = numberOfInputs;
  made.GetOutputTypeCount = [](const OrtCustomOp *) -> std::size_t { return 1; };
  made.GetInputType = [](const OrtCustomOp *, std::size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
  made.GetOutputType = made.GetInputType;
  made.GetInputCharacteristic = [](const OrtCustomOp *, std::size_t) { return INPUT_OUTPUT_REQUIRED; };
  made.GetOutputCharacteristic = made.GetInputCharacteristic;
  made.GetInputMemoryType = [](const OrtCustomOp *, std::size_t) { return OrtMemTypeDefault; };
  const auto none = [](const OrtCustomOp *) { return 0; }; // no input or output is variadic
  made.GetVariadicInputMinArity = made.GetVariadicOutputMinArity = none;
  made.GetVariadicInputHomogeneity = made.GetVariadicOutputHomogeneity = none;
  made.CreateKernelV2 =
    [](const OrtCustomOp *, const OrtApi *, const OrtKernelInfo * const info, void ** const kernel) -> OrtStatusPtr {
    return Guarded([&] { *kernel = std::make_unique<SelfSimilarity>(ReadSelfSimilarity(info)).release(); });
  };
  made.KernelComputeV2 = [](void * const kernel, OrtKernelContext * const context) -> OrtStatusPtr {
    return Guarded([&] { VComputation(*static_cast<const SelfSimilarity *>(kernel), context); });
  };
  made.KernelDestroy = [](void * const kernel) { delete static_cast<SelfSimilarity *>(kernel); };
  return made;
}

OrtCustomOpDomain *
MakeDomain()
{
  static const OrtCustomOp forward = MakeOperator<Forward>([](const OrtCustomOp *) { return "SelfSimilarity"; },
                                                           [](const OrtCustomOp *) -> std::size_t { return 1; });
  static const OrtCustomOp backward = MakeOperator<Backward>(
    [](const OrtCustomOp *) { return "SelfSimilarityGradient"; }, [](const OrtCustomOp *) -> std::size_t { return 2; });
  OrtCustomOpDomain * domain = nullptr;
  Check(Api().CreateCustomOpDomain("cnnmetric", &domain));
  Check(Api().CustomOpDomain_Add(domain, &forward));
  Check(Api().CustomOpDomain_Add(domain, &backward));
  return domain;
}

} // namespace


void
AddOperators(OrtSessionOptions & options)
{
  // Every session refers to it, so it stays as long as the library.
  static OrtCustomOpDomain * const domain = MakeDomain();
  Check(Api().AddCustomOpDomain(&options, domain));
}

} // namespace cnnmetric::onnxruntime
