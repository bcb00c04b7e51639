// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricParallel_h
#define cnnmetricParallel_h

#include <itkMultiThreaderBase.h>

#include <exception>
#include <vector>

namespace cnnmetric
{

/** Run work(worker) for worker = 0 ... numberOfWorkers - 1 on ITK's threads. An exception must not leave a thread of
 * the pool, so the first one, in the order of the workers, is thrown again in the calling thread. */
template <typename TWork>
void
RunWorkers(const unsigned int numberOfWorkers, TWork work)
{
  if (numberOfWorkers == 1)
  {
    work(0u);
    return;
  }
  struct Shared
  {
    TWork &                         work;
    std::vector<std::exception_ptr> errors;
  } shared{ work, std::vector<std::exception_ptr>(numberOfWorkers) };

  const auto threader = itk::MultiThreaderBase::New();
  threader->SetMaximumNumberOfThreads(numberOfWorkers);
  threader->SetNumberOfWorkUnits(numberOfWorkers);
  threader->SetSingleMethodAndExecute(
    [](void * argument) -> itk::ITK_THREAD_RETURN_TYPE {
      const auto & info = *static_cast<itk::MultiThreaderBase::WorkUnitInfo *>(argument);
      auto &       data = *static_cast<Shared *>(info.UserData);
      // The threader may start fewer units than it is asked for. Each of them then does the work of several workers.
      for (std::size_t worker = info.WorkUnitID; worker < data.errors.size(); worker += info.NumberOfWorkUnits)
      {
        try
        {
          data.work(static_cast<unsigned int>(worker));
        }
        catch (...)
        {
          data.errors[worker] = std::current_exception();
        }
      }
      return itk::ITK_THREAD_RETURN_DEFAULT_VALUE;
    },
    &shared);
  for (const auto & error : shared.errors)
  {
    if (error)
    {
      std::rethrow_exception(error);
    }
  }
}

} // namespace cnnmetric

#endif
