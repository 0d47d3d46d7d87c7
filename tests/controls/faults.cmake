# The deliberate faults of the control tests are no part of the sources. With
# EXPIRER_MUTANTS=ON this applies faults.patch to copies of the files that it names, below
# faults/ in the build directory, and the build takes those in place of the originals.
# The patch must fit exactly: whoever changes a line beside a fault changes it there, too.
set(FAULTS_DIR ${CMAKE_BINARY_DIR}/faults)
set(faults_patch ${CMAKE_CURRENT_LIST_DIR}/faults.patch)
set(faults_new ${CMAKE_BINARY_DIR}/faults.new)
find_program(PATCH patch REQUIRED)
file(STRINGS ${faults_patch} faulty REGEX "^\\+\\+\\+ b/")
list(TRANSFORM faulty REPLACE "^\\+\\+\\+ b/([^\t ]+).*$" "\\1")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${faults_patch} ${faulty})
file(REMOVE_RECURSE ${faults_new})
foreach(file ${faulty})
  cmake_path(GET file PARENT_PATH folder)
  file(COPY ${CMAKE_SOURCE_DIR}/${file} DESTINATION ${faults_new}/${folder} NO_SOURCE_PERMISSIONS)
endforeach()
execute_process(COMMAND ${PATCH} -p1 --fuzz=0 --silent --force --no-backup-if-mismatch -d ${faults_new} -i ${faults_patch}
                RESULT_VARIABLE result OUTPUT_VARIABLE faults_error ERROR_VARIABLE faults_error)
if(result)
  message(FATAL_ERROR "tests/controls/faults.patch does not fit the sources:\n${faults_error}")
endif()
# What has not changed keeps its time, so that it is not compiled again.
foreach(file ${faulty})
  cmake_path(GET file PARENT_PATH folder)
  file(MAKE_DIRECTORY ${FAULTS_DIR}/${folder})
  file(COPY_FILE ${faults_new}/${file} ${FAULTS_DIR}/${file} ONLY_IF_DIFFERENT)
endforeach()
file(REMOVE_RECURSE ${faults_new})

# Replaces in the list of sources each that has a fault.
function(expirer_with_faults list)
  set(sources ${${list}})
  foreach(file ${faulty})
    list(TRANSFORM sources REPLACE "^${CMAKE_SOURCE_DIR}/${file}$" ${FAULTS_DIR}/${file})
  endforeach()
  set(${list} ${sources} PARENT_SCOPE)
endfunction()
