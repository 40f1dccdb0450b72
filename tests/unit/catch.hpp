// catch — the one place that knows where Catch2 has its header: v2 on Debian 12, v3 on Debian 13.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include "base/result.hpp"

// A Result prints its error; its value may have no text. (Boost's own operator<< takes any value
// type and then does not compile for most of them.)
template <class T>
struct Catch::StringMaker<boost::system::result<T, rcptsync::Error>> {
  static std::string convert(const boost::system::result<T, rcptsync::Error>& result) {
    return result ? "a value"
                  : std::string(rcptsync::to_string(result.error().code)) + ": " +
                        result.error().message;
  }
};
