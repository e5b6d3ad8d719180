# Finds protobuf and gRPC; used by this build and by KandinskyConfig.cmake.
#
# Protobuf 22 and newer bring a config package, which also names what they need of abseil; older ones, such as Debian
# 12's 3.21, are found by CMake's own module. Either must come before gRPC, whose targets refer to protobuf's.
find_package(Protobuf CONFIG QUIET)
if(NOT TARGET protobuf::libprotobuf)
  find_package(Protobuf MODULE REQUIRED)
endif()
find_package(gRPC CONFIG REQUIRED)
