// SPDX-License-Identifier: Apache-2.0
#include "interpreter.h"
#include "networkOnArrays.h"

#include "cnnmetricError.h"
#include "cnnmetricNetwork.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

namespace py = pybind11;

namespace cnnmetric
{

namespace
{

/** Network::KeptDescriptors, as an object that Python hands from one evaluation to the next. */
struct KeptDescriptors
{
  Network::KeptDescriptors values{};
};

using ContiguousArray = py::array_t<float, py::array::c_style | py::array::forcecast>;

std::vector<float>
ToVector(const ContiguousArray & array)
{
  return std::vector<float>(array.data(), array.data() + array.size());
}

ContiguousArray
ToArray(const std::vector<float> & values, const std::vector<py::ssize_t> & shape)
{
  ContiguousArray array(shape);
  std::memcpy(array.mutable_data(), values.data(), values.size() * sizeof(float));
  return array;
}

/** Spatial shape of an array of one block, in which `leading` other axes come first.
 * \param role for the message, for example "patches" */
std::vector<py::ssize_t>
SpatialShape(const ContiguousArray & array,
             const unsigned int      dimension,
             const py::ssize_t       leading,
             const std::string &     role)
{
  const std::vector<py::ssize_t> shape(array.shape(), array.shape() + array.ndim());
  if (array.ndim() != leading + static_cast<py::ssize_t>(dimension))
  {
    throw Error("The " + role + " have " + std::to_string(array.ndim()) + " axes, but a " + std::to_string(dimension) +
                "D model needs " + std::to_string(leading + dimension) + '.');
  }
  return { shape.begin() + leading, shape.end() };
}

/** Evaluate one block.
 * \return dissimilarity, and the gradients of the first and the second modality: None for one that is not wanted */
std::tuple<ContiguousArray, py::object, py::object>
Evaluate(const Network &             network,
         const ContiguousArray &     patches,
         const ContiguousArray &     weights,
         const std::array<bool, 2> & gradientsWanted,
         KeptDescriptors * const     kept)
{
  const unsigned int dimension = network.GetInformation().dimension;
  const auto         block = SpatialShape(patches, dimension, 1, "patches");
  const auto         map = SpatialShape(weights, dimension, 0, "weights");

  // ONNX Runtime reads while other Python threads run, so it works on copies that they cannot change.
  const std::vector<float>          patchValues = ToVector(patches);
  const std::vector<float>          weightValues = ToVector(weights);
  std::vector<float>                dissimilarity;
  std::array<std::vector<float>, 2> gradients;
  Network::Gradients                wanted{};
  for (std::size_t image = 0; image < wanted.size(); ++image)
  {
    wanted[image] = gradientsWanted[image] ? &gradients[image] : nullptr;
  }
  {
    const WithoutPython release;
    network.Evaluate(
      { block.begin(), block.end() }, patchValues, weightValues, dissimilarity, wanted, kept ? &kept->values : nullptr);
  }
  const auto gradient = [&](const std::size_t image) {
    return wanted[image] ? py::object(ToArray(gradients[image], block)) : py::none();
  };
  return { ToArray(dissimilarity, map), gradient(0), gradient(1) };
}

/** Descriptors of one block of each image, of shape (channels, patches). */
std::tuple<ContiguousArray, ContiguousArray>
Describe(const Network & network, const ContiguousArray & patches)
{
  const auto & information = network.GetInformation();
  const auto   block = SpatialShape(patches, information.dimension, 1, "patches");
  if (patches.shape(0) != 2)
  {
    throw Error("The patches have " + std::to_string(patches.shape(0)) + " channels, and need one of each image.");
  }
  std::vector<py::ssize_t> shape{ static_cast<py::ssize_t>(information.descriptorChannels) };
  for (const py::ssize_t edge : block)
  {
    if (edge < static_cast<py::ssize_t>(information.receptiveField))
    {
      throw Error("The patches are smaller than the receptive field.");
    }
    shape.push_back((edge - information.receptiveField) / information.stride + 1);
  }
  const std::vector<float>          patchValues = ToVector(patches);
  std::array<std::vector<float>, 2> descriptors;
  {
    const WithoutPython release;
    network.Describe({ block.begin(), block.end() }, patchValues, descriptors);
  }
  return { ToArray(descriptors[0], shape), ToArray(descriptors[1], shape) };
}

} // namespace


void
DefineNetworkOnArrays(py::module_ & module)
{
  py::class_<KeptDescriptors>(module, "KeptDescriptors").def(py::init<>());
  py::class_<Network>(module, "NetworkOnArrays")
    .def(py::init([](const std::string & model, const std::string & device, const unsigned int numberOfThreads) {
           const WithoutPython release;
           return std::make_unique<Network>(model, device, numberOfThreads);
         }),
         py::kw_only(),
         py::arg("model"),
         py::arg("device"),
         py::arg("number_of_threads"))
    .def_property_readonly("path", [](const Network & network) { return network.GetInformation().path; })
    .def_property_readonly("dimension", [](const Network & network) { return network.GetInformation().dimension; })
    .def_property_readonly("receptive_field",
                           [](const Network & network) { return network.GetInformation().receptiveField; })
    .def_property_readonly("stride", [](const Network & network) { return network.GetInformation().stride; })
    .def_property_readonly("spacing", [](const Network & network) { return network.GetInformation().spacing; })
    .def_property_readonly("modalities",
                           [](const Network & network) {
                             const auto & [first, second] = network.GetInformation().modalities;
                             return py::make_tuple(TextToPython(first), TextToPython(second));
                           })
    .def_property_readonly("lower_quantile",
                           [](const Network & network) { return network.GetInformation().lowerQuantile; })
    .def_property_readonly("upper_quantile",
                           [](const Network & network) { return network.GetInformation().upperQuantile; })
    .def_property_readonly("descriptor_channels",
                           [](const Network & network) { return network.GetInformation().descriptorChannels; })
    .def_property_readonly("device_report",
                           [](const Network & network) { return TextToPython(network.GetDeviceReport()); })
    .def(
      "fixed_channel",
      [](const Network & network, const std::string & fixedModality) {
        std::string        warning;
        const unsigned int channel = network.FindFixedChannel(fixedModality, warning);
        if (!warning.empty() && PyErr_WarnEx(PyExc_UserWarning, warning.c_str(), 1) != 0)
        {
          throw py::error_already_set();
        }
        return channel;
      },
      py::arg("fixed_modality"))
    .def("describe", &Describe, py::kw_only(), py::arg("patches"))
    .def("evaluate",
         &Evaluate,
         py::kw_only(),
         py::arg("patches"),
         py::arg("weights"),
         py::arg("gradients_wanted"),
         py::arg("kept") = nullptr);
}

} // namespace cnnmetric
