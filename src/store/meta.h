// The keys of the `meta` family, and the store's format version.
//
//   "format"            varint format version of the whole store
//   "store_id"          32 hex digits
//   "next_seq"          varint: no row has this seq or a higher one
//   "lane/" queue       varint first lane of the queue (first attempts); the
//                       retry lane is the next number. Never given twice. A
//                       queue is named <rule>, <rule>.<entry> or <rule>.late.
//   "next_lane"         varint
//   "bound/" be16 lane  varint low bound, ms: no row of the lane is before it
//   "stream/" name      varint number of the stream (Position::stream)
//   "consumer/" rule 0x00 stream   ack floor etc. (net's, opaque here)
//   "read/" rule 0x00 stream       ReadMark (sched/streams.h)
//   "rebuild"           the newest rebuild (sched/rebuild.h)
//   "count/" ...        counters, and whether they must be counted again
//                       (sched/counts.h)
//   "rename/" old       new: rule `old` is being renamed (sched/rename.h)
//   "first_name/" rule  the rule's first name, if it was renamed (sched/queues.h)
//   "alive"             varint ms of the last sign of life
//   "sent"              rows that earlier processes possibly sent (sched/possibly_sent.h)
//   "quiet"             a disconnected span that has not ended (sched/possibly_sent.h)
//   "ahead"             rows may lie ahead of the clock until then (sched/ahead.h)
//   "down/"  be64 from  varint until: a process gap (sched/process_gaps.h)
#pragma once

#include <cstdint>
#include <string_view>

namespace expirer {

// It is raised if an older binary must refuse the store.
// 2: job rows of version 2, 3: registers of version 2 (job/job.h), 4: read marks
// with epochs, 5: read marks with the time of creation (sched/streams.h) and job rows
// of version 3 (job/job.h). Opening an older
// store raises it.
inline constexpr uint64_t kFormatVersion = 5;

inline constexpr std::string_view kMetaFormat = "format";
inline constexpr std::string_view kMetaStoreId = "store_id";
inline constexpr std::string_view kMetaNextSeq = "next_seq";
inline constexpr std::string_view kMetaNextLane = "next_lane";
inline constexpr std::string_view kMetaLane = "lane/";
inline constexpr std::string_view kMetaBound = "bound/";
inline constexpr std::string_view kMetaStream = "stream/";
inline constexpr std::string_view kMetaConsumer = "consumer/";
inline constexpr std::string_view kMetaRead = "read/";
inline constexpr std::string_view kMetaRebuild = "rebuild";
inline constexpr std::string_view kMetaCount = "count/";
inline constexpr std::string_view kMetaRuleCount = "count/r/";
inline constexpr std::string_view kMetaRuleHistory = "count/hr/";
inline constexpr std::string_view kMetaRuleFloor = "count/floor/";
inline constexpr std::string_view kMetaRename = "rename/";
inline constexpr std::string_view kMetaFirstName = "first_name/";
inline constexpr std::string_view kMetaAlive = "alive";
inline constexpr std::string_view kMetaPossiblySent = "sent";
inline constexpr std::string_view kMetaDisconnected = "quiet";
inline constexpr std::string_view kMetaAhead = "ahead";
inline constexpr std::string_view kMetaProcessGap = "down/";

}  // namespace expirer
