// SPDX-License-Identifier: Apache-2.0
#ifndef cnnmetricProfile_h
#define cnnmetricProfile_h

#include "cnnmetricText.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iomanip>
#include <string>

namespace cnnmetric
{

/** \class Profile
 * \brief Where the time of evaluations goes, in seconds of all threads together. */
struct Profile
{
  std::size_t evaluations{};
  /** Voxels of the evaluated blocks. */
  std::size_t voxels{};
  /** I_m(T(x)) and its gradient. */
  double warp{};
  /** N and its gradient. */
  double network{};
  /** The product with the transform's Jacobian. */
  double jacobian{};
  /** From the beginning to the end of the evaluations, times their threads. */
  double all{};
  /** From the beginning to the end of the evaluations. */
  double elapsed{};

  Profile &
  operator+=(const Profile & other)
  {
    evaluations += other.evaluations;
    voxels += other.voxels;
    warp += other.warp;
    network += other.network;
    jacobian += other.jacobian;
    all += other.all;
    elapsed += other.elapsed;
    return *this;
  }

  /** A table for the log. Time outside of the metric is that of the optimizer, and what comes before the first
   * iteration; how much of it ran on several threads is not known.
   * \param secondsOfLevel from the beginning to the end of a resolution
   * \param numberOfThreads of an evaluation; fewer run where it has fewer blocks */
  std::string
  Describe(const double secondsOfLevel, const unsigned int numberOfThreads) const
  {
    const double elsewhere = std::max(0.0, secondsOfLevel - elapsed);
    TextStream   text;
    text << std::fixed << evaluations << " evaluations of " << (evaluations ? voxels / evaluations : 0)
         << " voxels, threads: " << numberOfThreads << ", " << std::setprecision(1) << secondsOfLevel << " s\n"
         << "                         s of all threads   ns per voxel";
    const auto add = [&](const char * const part, const double seconds) {
      text << "\n  " << std::left << std::setw(21) << part << std::right << std::setprecision(3) << std::setw(18)
           << seconds << std::setprecision(0) << std::setw(15)
           << (voxels ? 1e9 * seconds / static_cast<double>(voxels) : 0.0);
    };
    add("warp", warp);
    add("network", network);
    add("Jacobian", jacobian);
    add("rest of the metric", std::max(0.0, all - warp - network - jacobian));
    add("outside, elapsed time", elsewhere);
    return text.str();
  }
};


/** \class Stopwatch
 * \brief Adds the time that it exists to a number of seconds. */
class Stopwatch
{
public:
  explicit Stopwatch(double & seconds, const double factor = 1.0)
    : m_Seconds(seconds)
    , m_Factor(factor)
  {
  }

  Stopwatch(const Stopwatch &) = delete;
  Stopwatch &
  operator=(const Stopwatch &) = delete;

  ~Stopwatch() { m_Seconds += m_Factor * std::chrono::duration<double>(Clock::now() - m_Start).count(); }

private:
  using Clock = std::chrono::steady_clock;

  double &                m_Seconds;
  const double            m_Factor;
  const Clock::time_point m_Start{ Clock::now() };
};

} // namespace cnnmetric

#endif
