// SPDX-License-Identifier: Apache-2.0
#ifndef olderGlibc_h
#define olderGlibc_h

/** Included before every file (see CMakeLists.txt), so that a library that is linked against a new glibc also loads with
 * glibc 2.28, as the wheels of ITK and elastix do. These functions have a newer version, or moved to another library;
 * the version named here is in every glibc for x86-64. */
#if defined(__GNUC__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
__asm__(".symver exp, exp@GLIBC_2.2.5");
__asm__(".symver log, log@GLIBC_2.2.5");
__asm__(".symver pow, pow@GLIBC_2.2.5");
__asm__(".symver dladdr, dladdr@GLIBC_2.2.5");
__asm__(".symver dlerror, dlerror@GLIBC_2.2.5");
__asm__(".symver dlopen, dlopen@GLIBC_2.2.5");
__asm__(".symver dlsym, dlsym@GLIBC_2.2.5");
__asm__(".symver pthread_once, pthread_once@GLIBC_2.2.5");
#endif

#endif
