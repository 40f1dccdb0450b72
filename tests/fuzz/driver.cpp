// driver — what libFuzzer is to clang: replays a corpus, then seeded mutations of it.
//
//   fuzz-NAME RUNS [FOLDER…]
//
// The same inputs on every machine. The input that breaks an invariant is named on standard error
// before the abort, in hexadecimal.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/random.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t max_input = 4096;

std::string current_input;

void name_input(int signal_number) {
  std::fprintf(stderr, "input of %zu bytes: ", current_input.size());
  for (const char c : current_input) std::fprintf(stderr, "%02x", static_cast<unsigned char>(c));
  std::fputc('\n', stderr);
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

void run(std::string input) {
  current_input = std::move(input);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(current_input.data()),
                         current_input.size());
}

std::vector<std::string> read_corpus(int count, char** folders) {
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < count; ++i)
    if (std::filesystem::is_directory(folders[i]))
      for (const auto& entry : std::filesystem::directory_iterator(folders[i]))
        if (entry.is_regular_file()) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());  // the order of a folder differs between machines
  std::vector<std::string> corpus{""};
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return corpus;
}

std::string mutated(rcptsync::Random& random, const std::vector<std::string>& corpus) {
  const auto any = [&](std::size_t bound) {
    return static_cast<std::size_t>(random.next() % bound);
  };
  std::string input = corpus[any(corpus.size())];
  for (auto changes = any(6) + 1; changes > 0; --changes) {
    const auto at = any(input.size() + 1);
    switch (any(5)) {
      case 0:
        input.insert(at, 1, static_cast<char>(random.next()));
        break;
      case 1:
        input.erase(at, any(8));
        break;
      case 2:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ 1 << any(8));
        break;
      case 3:
        input.insert(at, input.substr(any(input.size() + 1), any(32)));
        break;
      case 4: {
        const auto& other = corpus[any(corpus.size())];
        input.insert(at, other.substr(any(other.size() + 1), any(64)));
        break;
      }
    }
  }
  input.resize(std::min(input.size(), max_input));
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s RUNS [FOLDER...]\n", argv[0]);
    return 2;
  }
  std::signal(SIGABRT, name_input);
  std::signal(SIGSEGV, name_input);
  const auto corpus = read_corpus(argc - 2, argv + 2);
  for (const auto& input : corpus) run(input);
  rcptsync::SeededRandom random(1);
  const long runs = std::strtol(argv[1], nullptr, 10);
  for (long i = 0; i < runs; ++i) run(mutated(random, corpus));
  std::printf("%zu inputs of the corpus, %ld mutations\n", corpus.size(), runs);
}
