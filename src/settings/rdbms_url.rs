//! URLs of databases: `rdbms.url` taken apart, and the settings put together for the driver.

use std::fmt::Write;

use super::{RdbmsKind, RdbmsSettings, Secret};

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UrlParts {
    pub(super) kind: RdbmsKind,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) options: Option<String>,
}

impl RdbmsSettings {
    /// The URL that sqlx and SeaORM take.
    pub fn connection_url(&self) -> Secret {
        if self.kind == RdbmsKind::Sqlite {
            let options = match &self.url_options {
                Some(options) if options.split('&').any(|option| option.starts_with("mode=")) => options.clone(),
                Some(options) => format!("mode=rwc&{options}"),
                None => "mode=rwc".to_owned(),
            };
            return Secret::new(format!("sqlite://{}?{options}", encode(&self.database, "/")));
        }
        let scheme = if self.kind == RdbmsKind::Postgres { "postgres" } else { "mysql" };
        let mut url = format!("{scheme}://");
        if let Some(user) = &self.user {
            url += &encode(user, "");
        }
        if let Some(password) = &self.password {
            url += ":";
            url += &encode(password.expose(), "");
        }
        if self.user.is_some() || self.password.is_some() {
            url += "@";
        }
        // An IPv6 address; anything else that a host cannot hold, such as the `/` of a socket's folder, is escaped.
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { encode(&self.host, "") };
        url += &format!("{host}:{}/{}", self.port, encode(&self.database, ""));
        if let Some(options) = &self.url_options {
            url += "?";
            url += options;
        }
        Secret::new(url)
    }
}

/// Takes a URL apart. The error never holds a part of it.
pub(super) fn parse(url: &str) -> Result<UrlParts, String> {
    let (scheme, rest) = url.split_once(':').ok_or("must begin with postgres://, mysql://, mariadb:// or sqlite:")?;
    let kind = match scheme.to_ascii_lowercase().as_str() {
        "postgres" | "postgresql" => RdbmsKind::Postgres,
        "mysql" => RdbmsKind::MySql,
        "mariadb" => RdbmsKind::MariaDb,
        "sqlite" => RdbmsKind::Sqlite,
        _ => return Err("must begin with postgres://, mysql://, mariadb:// or sqlite:".to_owned()),
    };
    let (place, options) = match rest.split_once('?') {
        Some((place, options)) => (place, some(options)),
        None => (rest, None),
    };
    if let Some(name) = options.and_then(credential) {
        return Err(format!(
            "must not have the option `{name}`: it belongs before the `?`, or in a setting of its own"
        ));
    }
    let options = options.map(str::to_owned);
    if kind == RdbmsKind::Sqlite {
        let path = some(place.strip_prefix("//").unwrap_or(place)).ok_or("must have the path of the file")?;
        let database = Some(decode(path)?);
        return Ok(UrlParts { kind, host: None, port: None, database, user: None, password: None, options });
    }

    let place = place.strip_prefix("//").ok_or_else(|| format!("must have `//` after `{scheme}:`"))?;
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let (credentials, address) = match authority.rsplit_once('@') {
        Some((credentials, address)) => (credentials, address),
        None => ("", authority),
    };
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, password),
        None => (credentials, ""),
    };
    let (host, port) = split_address(address)?;
    let part = |text: &str| some(text).map(decode).transpose();
    Ok(UrlParts {
        kind,
        host: part(host)?,
        port,
        database: part(database)?,
        user: part(user)?,
        password: part(password)?.map(Secret::new),
        options,
    })
}

/// Host and port of `host`, `host:port`, `[::1]` or `[::1]:port`.
fn split_address(address: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("must close the `[` of an IPv6 address")?;
            (host, after.strip_prefix(':').unwrap_or(after))
        }
        None => address.split_once(':').unwrap_or((address, "")),
    };
    let Some(port) = some(port) else { return Ok((host, None)) };
    match port.parse() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        // What stands there may be the rest of a password with an unescaped `/` or `?`.
        _ => {
            Err("must have a port from 1 to 65535, and special characters of user and password percent-encoded".into())
        }
    }
}

/// The first option that holds what the settings must know, or a password that would show in `Debug`.
fn credential(options: &str) -> Option<&'static str> {
    const NAMES: [&str; 6] = ["user", "password", "host", "hostaddr", "port", "dbname"];
    let given = options.split('&').map(|option| option.split_once('=').map_or(option, |(name, _)| name));
    given.filter_map(|name| NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name))).next()
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn encode(text: &str, also_plain: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || also_plain.contains(c) {
            encoded.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn decode(text: &str) -> Result<String, String> {
    const WRONG: &str = "must have two hexadecimal digits after each `%`; a `%` itself is `%25`";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return Err(WRONG.to_owned()) };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or(WRONG);
        // Two hexadecimal digits are at most 255.
        bytes.push((digit(high)? * 16 + digit(low)?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| "must be UTF-8 once the `%` escapes are replaced".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use RdbmsKind::*;

    type Plain<'a> = (RdbmsKind, &'a str, u16, &'a str, &'a str, &'a str, &'a str);

    fn plain(parts: &UrlParts) -> Plain<'_> {
        let text = |part: &'_ Option<String>| part.clone().unwrap_or_default().leak() as &str;
        let password = parts.password.as_ref().map(Secret::expose).unwrap_or_default();
        let UrlParts { kind, host, port, database, user, options, .. } = parts;
        (*kind, text(host), port.unwrap_or(0), text(database), text(user), password, text(options))
    }

    #[test]
    fn urls_are_taken_apart() {
        for (url, parts) in [
            ("postgres://me:pw@db:5433/events?sslmode=require", {
                (Postgres, "db", 5433, "events", "me", "pw", "sslmode=require")
            }),
            ("postgresql://db/events", (Postgres, "db", 0, "events", "", "", "")),
            ("MySQL://me@db:3306/e", (MySql, "db", 3306, "e", "me", "", "")),
            ("mariadb://a%40b:p%2Fw%3A%25@[::1]:3307/e", (MariaDb, "::1", 3307, "e", "a@b", "p/w:%", "")),
            ("mysql://me:a:b@c@db/e", (MySql, "db", 0, "e", "me", "a:b@c", "")),
            ("postgres://%2Frun%2Fpg/e", (Postgres, "/run/pg", 0, "e", "", "", "")),
            ("postgres://db", (Postgres, "db", 0, "", "", "", "")),
            ("sqlite:data/my%20file.db", (Sqlite, "", 0, "data/my file.db", "", "", "")),
            ("sqlite://data/x.db?mode=rw", (Sqlite, "", 0, "data/x.db", "", "", "mode=rw")),
            ("sqlite:///var/x.db", (Sqlite, "", 0, "/var/x.db", "", "", "")),
        ] {
            assert_eq!(plain(&parse(url).expect(url)), parts, "{url}");
        }
    }

    #[test]
    fn wrong_urls_are_refused_without_being_shown() {
        for url in [
            "hunter2",
            "oracle://me:hunter2@db/e",
            "postgres:me:hunter2@db/e",
            "postgres://me:hunter2/@db/e",
            "postgres://me:hunter2%4@db/e",
            "postgres://me:hunter2%ff@db/e",
            "postgres://me:hunter2@db:0/e",
            "postgres://me:hunter2@[::1/e",
            "postgres://db/e?password=hunter2",
            "sqlite:",
        ] {
            let message = parse(url).expect_err(url);
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn connection_urls_are_escaped() {
        for (given, wanted) in [
            ("postgres://a%40b:p%2Fw%3A%25@db/e?sslmode=require", {
                "postgres://a%40b:p%2Fw%3A%25@db:5432/e?sslmode=require"
            }),
            ("mariadb://me@[::1]:3307/my%20events", "mysql://me@[::1]:3307/my%20events"),
            ("postgres://%2Frun%2Fpg/e", "postgres://%2Frun%2Fpg:5432/e"),
            ("sqlite:data/my%3Ffile%23%25.db", "sqlite://data/my%3Ffile%23%25.db?mode=rwc"),
            ("sqlite:///var/x.db?cache=shared", "sqlite:///var/x.db?mode=rwc&cache=shared"),
            ("sqlite:x.db?mode=rw", "sqlite://x.db?mode=rw"),
        ] {
            let settings =
                crate::settings::load::tests::load(&format!("rdbms: {{url: \"{given}\"}}"), &[]).expect(given);
            assert_eq!(settings.rdbms.connection_url().expose(), wanted);
        }
    }
}
