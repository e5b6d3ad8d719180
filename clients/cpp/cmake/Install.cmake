set(_package "${CMAKE_INSTALL_LIBDIR}/cmake/Kandinsky")

install(TARGETS kandinsky_client EXPORT KandinskyTargets)
install(DIRECTORY include/kandinsky DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${KANDINSKY_GENERATED_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kandinsky_api/v1)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(EXPORT KandinskyTargets NAMESPACE Kandinsky:: DESTINATION ${_package})

configure_package_config_file(cmake/KandinskyConfig.cmake.in KandinskyConfig.cmake INSTALL_DESTINATION ${_package})
write_basic_package_version_file(KandinskyConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(
  FILES
    cmake/KandinskyDependencies.cmake
    "${CMAKE_CURRENT_BINARY_DIR}/KandinskyConfig.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/KandinskyConfigVersion.cmake"
  DESTINATION ${_package}
)

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_VENDOR "kandinsky-grpc")
set(CPACK_PACKAGE_FILE_NAME "kandinsky-client-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_RESOURCE_FILE_LICENSE "${CMAKE_CURRENT_SOURCE_DIR}/LICENSE")
include(CPack)
