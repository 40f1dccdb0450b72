#include "service/answer.hpp"

#include "service/target_setup.hpp"

namespace rcptsync::service {

ExitCode answer(const Command& command, const OperatorContext& context, std::ostream& out) {
  switch (command.kind) {
    case Command::Kind::status:
      return print_status(context, out);
    case Command::Kind::diff:
      return print_diff(context, DifferenceQuery{command.from, command.to, command.target}, out);
    case Command::Kind::history:
      return print_history(context, command.limit, out);
    case Command::Kind::table:
      return print_table(context, TableQuery{command.target, command.access, command.at}, out);
    case Command::Kind::why:
      return print_why(context, WhyQuery{command.address, command.live}, out);
    case Command::Kind::target_setup:
      return print_target_setup(context, command.target, out);
    default:
      context.errors.emit({EventKind::diagnostic, Priority::error, "no command that only reads"});
      return exit_usage;
  }
}

}  // namespace rcptsync::service
