//! `rdbms.*`, where a URL may stand for the parts.

use super::rdbms_url::{self, UrlParts};
use super::section::Section;
use super::{RdbmsKind, RdbmsSettings};

const KINDS: [(&str, RdbmsKind); 4] = [
    ("postgres", RdbmsKind::Postgres),
    ("mysql", RdbmsKind::MySql),
    ("mariadb", RdbmsKind::MariaDb),
    ("sqlite", RdbmsKind::Sqlite),
];

pub(super) fn read(section: &Section) -> RdbmsSettings {
    let parts = UrlParts {
        kind: section.choice("type", &KINDS),
        host: Some(section.text("host", 1..=255)),
        port: section.optional_integer("port", 1..=65_535),
        database: Some(section.text("database", 1..=1024)),
        user: section.optional_text("user", 1..=255),
        password: section.secret("password"),
        options: None,
    };
    let parts = match section.secret("url").map(|url| rdbms_url::parse(url.expose())) {
        Some(Ok(url)) => joined(url, parts, section),
        Some(Err(rule)) => {
            section.refuse("url", rule);
            parts
        }
        None => {
            // The default is the name of a file.
            let is_server = section.sound(&["type"]) && parts.kind != RdbmsKind::Sqlite;
            if is_server && section.sound(&["database"]) && section.set_by("database").is_none() {
                section.refuse("database", format!("must be set, because type is {}", parts.kind.name()));
            }
            parts
        }
    };
    check(&parts, section);

    let default_port = if parts.kind == RdbmsKind::Postgres { 5432 } else { 3306 };
    let settings = RdbmsSettings {
        kind: parts.kind,
        host: parts.host.unwrap_or_default(),
        port: parts.port.unwrap_or(default_port),
        database: parts.database.unwrap_or_default(),
        user: parts.user,
        password: parts.password,
        url_options: parts.options,
        connect_timeout: section.milliseconds("connect_timeout_ms", 1..=600_000),
        statement_timeout: section.milliseconds("statement_timeout_ms", 1..=3_600_000),
        connection_age_max: section.seconds("connection_age_max_sec", 1.0..=604_800.0),
        max_retries: section.integer("max_retries", 0..=1000),
        retry_delay: section.seconds("retry_delay_sec", 0.001..=3600.0),
        retry_delay_max: section.seconds("retry_delay_max_sec", 0.001..=3600.0),
        retry_multiplier: section.number("retry_multiplier", 1.0..=100.0),
        retry_jitter: section.number("retry_jitter", 0.0..=1.0),
        transaction_events_max: section.integer("transaction_events_max", 1..=1_000_000),
        catalogue_refresh: section.seconds("catalogue_refresh_sec", 0.1..=86_400.0),
        migrate_on_start: section.flag("migrate_on_start"),
    };
    if section.sound(&["retry_delay_sec", "retry_delay_max_sec"]) && settings.retry_delay_max < settings.retry_delay {
        section.refuse("retry_delay_max_sec", "must not be below rdbms.retry_delay_sec");
    }
    section.finish();
    settings
}

/// The URL with what it leaves out. A part that the same or a later layer sets fills a gap, such as the password from
/// the environment, or contradicts the URL; parts of earlier layers, and defaults, are replaced.
fn joined(url: UrlParts, parts: UrlParts, section: &Section) -> UrlParts {
    let layer = section.set_by("url");
    let counts = |key: &str| section.set_by(key) >= layer;
    let both = |key: &str| section.refuse(key, "is also in rdbms.url: remove one of the two");
    fn one<T>(key: &str, url: Option<T>, part: Option<T>, counts: bool, both: impl Fn(&str)) -> Option<T> {
        if url.is_some() && counts {
            both(key);
        }
        url.or(part.filter(|_| counts))
    }
    // MariaDB's own clients say mysql:// too.
    let is_mariadb =
        section.set_by("type").is_some() && (url.kind, parts.kind) == (RdbmsKind::MySql, RdbmsKind::MariaDb);
    let kind = if is_mariadb { RdbmsKind::MariaDb } else { url.kind };
    if counts("type") && section.sound(&["type"]) && kind != parts.kind {
        section.refuse("type", format!("is {}, but rdbms.url is for {}", parts.kind.name(), url.kind.name()));
    }
    let joined = UrlParts {
        kind,
        host: one("host", url.host, parts.host, counts("host"), both),
        port: one("port", url.port, parts.port, counts("port"), both),
        database: one("database", url.database, parts.database, counts("database"), both),
        user: one("user", url.user, parts.user, counts("user"), both),
        password: one("password", url.password, parts.password, counts("password"), both),
        options: url.options,
    };
    if kind != RdbmsKind::Sqlite && joined.host.is_none() {
        section.refuse("url", "must name a host");
    }
    if joined.database.is_none() {
        section.refuse("url", "must name a database, after the `/`");
    }
    joined
}

fn check(parts: &UrlParts, section: &Section) {
    let database = parts.database.as_deref().unwrap_or_default();
    if parts.kind == RdbmsKind::Sqlite && database.starts_with(":memory:") {
        section.refuse("database", "must be a file: what is in memory is gone with the process");
    }
    let host = parts.host.as_deref().unwrap_or_default();
    let is_socket = parts.kind == RdbmsKind::Postgres && host.starts_with('/');
    if parts.kind != RdbmsKind::Sqlite && !is_socket {
        section.check_host(host);
    }
}
