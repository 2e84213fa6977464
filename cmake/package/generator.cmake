# Read by cpack once for each kind of package.
if(CPACK_GENERATOR STREQUAL "DEB")
  set(CPACK_COMPONENTS_ALL tinderbox)  # libraries come as packages of their own
  if(CPACK_TINDERBOX_DEPENDS)
    file(READ ${CPACK_TINDERBOX_DEPENDS} CPACK_DEBIAN_PACKAGE_DEPENDS)
    string(STRIP "${CPACK_DEBIAN_PACKAGE_DEPENDS}" CPACK_DEBIAN_PACKAGE_DEPENDS)
  endif()
else()
  set(CPACK_COMPONENTS_ALL tinderbox libraries)
  set(CPACK_COMPONENT_INCLUDE_TOPLEVEL_DIRECTORY ON)
  set(CPACK_PACKAGING_INSTALL_PREFIX "")
endif()
