// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricError_h
#define cnnmetricError_h

#include <stdexcept>
#include <string>

namespace cnnmetric
{

/** \class Error
 * \brief What every part of the C++ side throws: one sentence that names the input, what is wrong and what to do.
 */
class Error : public std::runtime_error
{
public:
  using std::runtime_error::runtime_error;
};

/** Thrown when a model file cannot be used; becomes `cnnmetric.ModelError` in Python. */
class ModelError : public Error
{
public:
  using Error::Error;
};

} // namespace cnnmetric

#endif
