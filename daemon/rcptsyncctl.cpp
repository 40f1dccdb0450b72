// rcptsyncctl — the operator's command line. rcptsyncctl(1)
#include <iostream>

#include "service/tool.hpp"

int main(int argc, char** argv) {
  return rcptsync::service::run_tool({argv + 1, argv + argc}, std::cout);
}
