# Writes expirer_version.h: the project's VERSION and the commit it was built
# from: COMMIT where the caller knows it, else what git says ("unknown" outside
# a checkout). Arguments: SOURCE_DIR, VERSION, OUTPUT, COMMIT (may be empty).
if(COMMIT)
  string(SUBSTRING ${COMMIT} 0 12 COMMIT)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/expirer_version.h.in ${OUTPUT} @ONLY)
  return()
endif()
find_package(Git QUIET)
set(COMMIT unknown)
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE_DIR} rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
                  RESULT_VARIABLE failed)
  if(NOT failed)
    set(COMMIT ${head})
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE_DIR} diff --quiet HEAD RESULT_VARIABLE dirty ERROR_QUIET)
    if(dirty)
      string(APPEND COMMIT -dirty)
    endif()
  endif()
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/expirer_version.h.in ${OUTPUT} @ONLY)
