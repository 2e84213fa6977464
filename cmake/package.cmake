# What `./dev package` makes: a .deb for Debian and its like, and a .tar.gz that runs from any folder and brings the
# libraries that other distributions may lack.
set(pages ${PROJECT_BINARY_DIR}/pages)
# Made by the program itself, so that they cannot differ from it; under an emulator where it is built for another processor.
add_custom_command(OUTPUT ${pages}/done
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${pages}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${pages}/man
  COMMAND tinderbox man --out ${pages}/man
  COMMAND sh -c "gzip -9n ${pages}/man/*.1"
  COMMAND tinderbox completion bash > ${pages}/tinderbox.bash
  COMMAND tinderbox completion zsh > ${pages}/_tinderbox
  COMMAND tinderbox completion fish > ${pages}/tinderbox.fish
  COMMAND gzip -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md > ${pages}/changelog.gz
  COMMAND ${CMAKE_COMMAND} -E touch ${pages}/done
  DEPENDS tinderbox ${PROJECT_SOURCE_DIR}/CHANGELOG.md VERBATIM)
add_custom_target(package_files DEPENDS ${pages}/done)
if(CMAKE_CROSSCOMPILING)
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/depends
    COMMAND ${PROJECT_SOURCE_DIR}/cmake/package/depends.sh $<TARGET_FILE:tinderbox> ${CMAKE_SYSROOT}
      > ${PROJECT_BINARY_DIR}/depends
    DEPENDS tinderbox ${PROJECT_SOURCE_DIR}/cmake/package/depends.sh VERBATIM)
  add_custom_target(package_depends DEPENDS ${PROJECT_BINARY_DIR}/depends)
  add_dependencies(package_files package_depends)
endif()

set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME tinderbox)
set_target_properties(tinderbox PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/tinderbox")
if(CMAKE_CROSSCOMPILING)
  install(TARGETS tinderbox)
else()
  install(TARGETS tinderbox RUNTIME_DEPENDENCY_SET libraries)
  # Not the C library and its loader: those belong to the system.
  install(RUNTIME_DEPENDENCY_SET libraries DESTINATION lib/tinderbox COMPONENT libraries
    PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|pthread|resolv)\\.so")
  install(CODE "set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")\ninclude(${PROJECT_SOURCE_DIR}/cmake/package/licences.cmake)"
    COMPONENT libraries)
endif()
install(DIRECTORY ${pages}/man/ DESTINATION share/man/man1)
install(FILES ${pages}/tinderbox.bash DESTINATION share/bash-completion/completions RENAME tinderbox)
install(FILES ${pages}/_tinderbox DESTINATION share/zsh/vendor-completions)
install(FILES ${pages}/tinderbox.fish DESTINATION share/fish/vendor_completions.d)
install(FILES cmake/package/copyright README.md SECURITY.md ${pages}/changelog.gz DESTINATION share/doc/tinderbox)
# The notices of what the page contains.
install(FILES ${PROJECT_BINARY_DIR}/web/licences.txt DESTINATION share/doc/tinderbox RENAME licences-of-the-page.txt)
install(FILES docs/grafana/tinderbox.json DESTINATION share/doc/tinderbox/grafana)
install(FILES cmake/package/tinderbox.service cmake/package/tinderbox.socket DESTINATION lib/systemd/system)

set(CPACK_PACKAGE_CONTACT "Tinderbox developers <maintainers@tinderbox.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "The DGX Spark in software")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "A compact AI computer as a program: it serves models over OpenAI's and Ollama's API, with real
tokens at this computer's pace or at that of a modelled machine; predicts speed, memory, power and heat of models on an
NVIDIA DGX Spark and what compares with it; and simulates traffic in virtual time.")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
if(CMAKE_CROSSCOMPILING)
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)  # the one processor that there is a toolchain file for
  set(CPACK_TINDERBOX_DEPENDS ${PROJECT_BINARY_DIR}/depends)
else()
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libcurl4")
set(CPACK_DEBIAN_PACKAGE_SECTION misc)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/cmake/package/postinst
  ${PROJECT_SOURCE_DIR}/cmake/package/prerm ${PROJECT_SOURCE_DIR}/cmake/package/postrm)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_PACKAGE_FILE_NAME tinderbox-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/package/generator.cmake)
set(CPACK_VERBATIM_VARIABLES ON)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
include(CPack)
