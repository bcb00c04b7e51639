// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetric_settingsFromPython_h
#define cnnmetric_settingsFromPython_h

#include "cnnmetricSettings.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

namespace cnnmetric
{

/** Define `Settings` in a module. The class is local to the module, because both modules define it. */
inline void
DefineSettings(pybind11::module_ & module)
{
  namespace py = pybind11;
  py::class_<Settings>(module, "Settings", py::module_local())
    .def(py::init([](const std::string &                 model,
                     const std::string &                 fixedModality,
                     const std::optional<bool>           full,
                     const std::optional<unsigned int> & numberOfBlocks,
                     const std::optional<unsigned int> & blockSize,
                     const double                        gridSpacing,
                     const std::string &                 device,
                     const unsigned int                  numberOfThreads) {
           Settings settings;
           settings.modelPath = model;
           settings.fixedModality = fixedModality;
           if (full)
           {
             settings.sampling = *full ? Sampling::Full : Sampling::Blocks;
           }
           settings.numberOfBlocks = numberOfBlocks;
           settings.blockSize = blockSize;
           settings.gridSpacing = gridSpacing;
           settings.device = device;
           settings.numberOfThreads = numberOfThreads;
           return settings;
         }),
         py::kw_only(),
         py::arg("model"),
         py::arg("fixed_modality"),
         py::arg("full"),
         py::arg("number_of_blocks"),
         py::arg("block_size"),
         py::arg("grid_spacing"),
         py::arg("device"),
         py::arg("number_of_threads"));
}

} // namespace cnnmetric

#endif
