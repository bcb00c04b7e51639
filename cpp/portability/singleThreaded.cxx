// SPDX-License-Identifier: Apache-2.0

/** glibc says here since 2.32 whether the process has one thread, and std::shared_ptr then counts without atomics. This
 * one, for our libraries alone, says that there are several, which is always right, and lets them load with glibc 2.28.
 */
extern "C" __attribute__((visibility("hidden"))) const char __libc_single_threaded = 0;
