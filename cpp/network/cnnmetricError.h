// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricError_h
#define cnnmetricError_h

#include <stdexcept>
#include <string>

namespace cnnmetric
{

/** \class Error
 * \brief A failure with a text for the user: it names the input, what is wrong with it, and what to do.
 */
class Error : public std::runtime_error
{
public:
  using std::runtime_error::runtime_error;
};

/** \class ModelError
 * \brief A model file cannot be used. Python raises `cnnmetric.ModelError`.
 */
class ModelError : public Error
{
public:
  using Error::Error;
};

/** What to say where C++ says no more than std::bad_alloc. */
inline constexpr char OutOfMemory[] =
  "There is not enough memory. Compare less at a time, with a coarser grid or smaller blocks, or free some memory.";

} // namespace cnnmetric

#endif
