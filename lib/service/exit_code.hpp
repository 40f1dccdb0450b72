// exit_code — how the programs end. docs/man/rcptsyncd.8 lists them; the first that applies counts.
#pragma once

namespace rcptsync::service {

enum ExitCode : int {
  exit_ok = 0,
  exit_failed = 1,         ///< a source or a target failed, or the state cannot be used
  exit_usage = 2,          ///< wrong usage
  exit_held = 3,           ///< the guard holds a change
  exit_not_listed = 3,     ///< the address that was asked for is not accepted
  exit_busy = 75,          ///< another daemon owns the state (EX_TEMPFAIL of sysexits.h)
  exit_configuration = 78  ///< configuration refused (EX_CONFIG)
};

}  // namespace rcptsync::service
