# The Debian package: `cmake --build --preset release --target deb`, into
# build/release/package. CPack knows what it is called and depends on;
# packaging/stage puts everything beside the binary.
# Who answers for a package is who builds it, so Debian's own variables say it.
# Where they do not, the field, which has to be there, says that nobody does.
if(DEFINED ENV{DEBFULLNAME} AND DEFINED ENV{DEBEMAIL})
  set(maintainer "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
else()
  set(maintainer "unpublished build of expirer <nobody@expirer.invalid>")
endif()
set(EXPIRER_MAINTAINER ${maintainer} CACHE STRING "Who answers for the package: a name and an address")
set(CPACK_PACKAGE_CONTACT ${EXPIRER_MAINTAINER})
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME expirer)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "durable delayed messages for NATS")
set(CPACK_PACKAGE_DESCRIPTION
"expirer reads events that are already on NATS, remembers what has to
happen later, and publishes it at its time, unless an event before that
cancels it. Rules in a YAML file say which event schedules, which cancels,
and what is sent. Jobs live in an embedded store: each is on disk before its
event is acknowledged, and gone only when the target stream has confirmed
it.")
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/package)
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 2)

# A package holds the libraries' names of one release of Debian, and the next
# release's is the newer one.
cmake_host_system_information(RESULT release QUERY DISTRIB_INFO)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
if(release_ID STREQUAL debian)
  string(APPEND CPACK_DEBIAN_PACKAGE_RELEASE ~deb${release_VERSION_ID})
endif()
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS nats-server)
file(WRITE ${PROJECT_BINARY_DIR}/conffiles "/etc/expirer/expirer.yaml\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/conffiles)
foreach(script postinst prerm postrm)
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/debian/${script})
endforeach()
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# Below a root of its own, as the files in /etc need; `cmake --install` puts the
# binary alone.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_COMPONENTS_ALL binary package)
install(CODE "
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env \"EXPIRER_MAINTAINER=${EXPIRER_MAINTAINER}\"
            ${PROJECT_SOURCE_DIR}/packaging/stage \"\$ENV{DESTDIR}\"
            ${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}
    COMMAND_ERROR_IS_FATAL ANY)"
  COMPONENT package EXCLUDE_FROM_ALL)
include(CPack)
# Not CPack's own target `package`, which builds the tests first.
add_custom_target(deb COMMAND ${CMAKE_CPACK_COMMAND} --config ${PROJECT_BINARY_DIR}/CPackConfig.cmake
                  WORKING_DIRECTORY ${PROJECT_BINARY_DIR} USES_TERMINAL VERBATIM)
add_dependencies(deb expirer)
