# Writes the messages and stubs of the contract, and the client's private messages, with the protoc and the gRPC plugin
# of the very libraries that they are compiled against. All of it is one object library, compiled without warnings.
set(KANDINSKY_GENERATED_DIR "${CMAKE_CURRENT_BINARY_DIR}/generated")
file(MAKE_DIRECTORY "${KANDINSKY_GENERATED_DIR}")

set(KANDINSKY_PROTOS types events errors prior image server)
set(_sources)
set(KANDINSKY_GENERATED_HEADERS)
foreach(name IN LISTS KANDINSKY_PROTOS)
  set(_base "${KANDINSKY_GENERATED_DIR}/kandinsky_api/v1/${name}")
  set(_outputs "${_base}.pb.cc" "${_base}.pb.h" "${_base}.grpc.pb.cc" "${_base}.grpc.pb.h")
  add_custom_command(
    OUTPUT ${_outputs}
    COMMAND protobuf::protoc
      "--proto_path=${KANDINSKY_PROTO_DIR}"
      "--cpp_out=${KANDINSKY_GENERATED_DIR}"
      "--grpc_out=${KANDINSKY_GENERATED_DIR}"
      "--plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>"
      "kandinsky_api/v1/${name}.proto"
    DEPENDS "${KANDINSKY_PROTO_DIR}/kandinsky_api/v1/${name}.proto"
    VERBATIM
  )
  list(APPEND _sources "${_base}.pb.cc" "${_base}.grpc.pb.cc")
  list(APPEND KANDINSKY_GENERATED_HEADERS "${_base}.pb.h" "${_base}.grpc.pb.h")
endforeach()

set(_details "${KANDINSKY_GENERATED_DIR}/status_details.pb")
add_custom_command(
  OUTPUT "${_details}.cc" "${_details}.h"
  COMMAND protobuf::protoc
    "--proto_path=${CMAKE_CURRENT_SOURCE_DIR}/src"
    "--cpp_out=${KANDINSKY_GENERATED_DIR}"
    status_details.proto
  DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/src/status_details.proto"
  VERBATIM
)
list(APPEND _sources "${_details}.cc")

add_library(kandinsky_generated OBJECT ${_sources})
set_target_properties(kandinsky_generated PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_CLANG_TIDY "")
target_include_directories(kandinsky_generated PUBLIC "${KANDINSKY_GENERATED_DIR}")
target_link_libraries(kandinsky_generated PUBLIC protobuf::libprotobuf gRPC::grpc++)
target_compile_options(kandinsky_generated PRIVATE -w)
