// SPDX-License-Identifier: Apache-2.0
#ifndef vectorised_h
#define vectorised_h

/** One library runs on every processor of its kind: the compiler makes a function that is marked so for several of them,
 * and the right one is chosen when the library is loaded. Sanitizers do not bear that. */
#if defined(__x86_64__) && __GNUC__ >= 12 && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&                  \
  !defined(__SANITIZE_THREAD__)
#  define CNNMETRIC_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#  define CNNMETRIC_INLINE inline __attribute__((always_inline))
#else
#  define CNNMETRIC_VECTORISED
#  define CNNMETRIC_INLINE inline
#endif

#endif
