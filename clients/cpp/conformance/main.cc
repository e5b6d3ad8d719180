// The program that the conformance suite drives: a case a line in, a report a line out.

#include <iostream>
#include <string>

#include "program.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << run_case(Json::parse(line)).dump() << std::endl;
  }
}
