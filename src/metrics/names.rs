//! The names of the counters in Redis. They are part of the interface: dashboards read them.

/// Writes that reached Redis as durably as wanted.
pub fn redis_success(entity: &str) -> String {
    format!("metrics:{entity}:redis:success")
}

/// Writes that failed, or did not become as durable as wanted in time.
pub fn redis_fail(entity: &str) -> String {
    format!("metrics:{entity}:redis:fail")
}

/// Entries that were deleted from the stream before they were read.
pub fn redis_lost(entity: &str) -> String {
    format!("metrics:{entity}:redis:lost")
}

/// Generations of the stream's actors that ended, or could not begin, for this reason.
pub fn ended(entity: &str, reason: &str) -> String {
    format!("metrics:{entity}:ended:{reason}")
}

/// How far the log streams have told, by lane: stream ids, separated by blanks. No counter, but set with them.
pub fn rdbms_told(entity: &str) -> String {
    format!("metrics:{entity}:rdbms:told")
}

/// Events applied to the database.
pub fn rdbms_success(entity: &str) -> String {
    format!("metrics:{entity}:rdbms:success")
}

/// Events that were passed over because a setting says so.
pub fn rdbms_skipped(entity: &str) -> String {
    format!("metrics:{entity}:rdbms:skipped")
}

/// Events that became dead letters.
pub fn rdbms_fail(entity: &str) -> String {
    format!("metrics:{entity}:rdbms:fail")
}
