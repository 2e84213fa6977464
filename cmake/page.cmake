# tinderbox_page(OUT): builds the page at web/ into the build folder and sets OUT to its files, each beside its .gz.
# Vite bundles, node compresses; npm fetches the pinned packages only when web/package-lock.json has changed.
function(tinderbox_page out)
  find_program(TINDERBOX_NODE NAMES node nodejs DOC "Node 18 or newer: builds the page")
  find_program(TINDERBOX_NPM NAMES npm DOC "npm: fetches what the page is built with")
  if(NOT TINDERBOX_NODE OR NOT TINDERBOX_NPM)
    message(FATAL_ERROR "node and npm build the page of the box; install them (Debian: nodejs npm)")
  endif()
  set(web ${PROJECT_SOURCE_DIR}/web)
  set(folder ${PROJECT_BINARY_DIR}/web)
  set(files "")
  foreach(name index.html app.js style.css theme.js validation.html icon.svg licences.txt)
    list(APPEND files ${folder}/${name} ${folder}/${name}.gz)
  endforeach()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${web}/src/* ${web}/public/*)
  add_custom_command(OUTPUT ${files}
    COMMAND ${CMAKE_COMMAND} -E env NPM=${TINDERBOX_NPM} ${TINDERBOX_NODE} ${web}/build.mjs ${folder}
    DEPENDS ${sources} ${web}/index.html ${web}/build.mjs ${web}/vite.config.ts ${web}/tsconfig.json
      ${web}/package.json ${web}/package-lock.json
    COMMENT "Building the page" VERBATIM)
  set(${out} ${files} PARENT_SCOPE)
endfunction()
