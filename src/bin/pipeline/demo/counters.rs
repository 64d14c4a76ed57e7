//! The counters in Redis, and whether they tell the truth.

use redis::Value;
use write_behind::error::PipelineError;
use write_behind::metrics::names;
use write_behind::stream::connection::RedisConnection;

use super::compare::Comparison;

/// The counters of one entity.
#[derive(Debug)]
pub struct Counters {
    redis_success: Counter,
    redis_fail: Counter,
    rdbms_success: Counter,
    rdbms_fail: Counter,
}

#[derive(Debug)]
struct Counter {
    name: String,
    value: u64,
}

impl Counters {
    /// Reads them.
    ///
    /// # Errors
    /// Redis did not answer.
    pub async fn read(connection: &mut RedisConnection, entity: &str) -> Result<Counters, PipelineError> {
        Ok(Counters {
            redis_success: Counter::read(connection, names::redis_success(entity)).await?,
            redis_fail: Counter::read(connection, names::redis_fail(entity)).await?,
            rdbms_success: Counter::read(connection, names::rdbms_success(entity)).await?,
            rdbms_fail: Counter::read(connection, names::rdbms_fail(entity)).await?,
        })
    }

    /// One line for each, `NAME: VALUE`.
    pub fn lines(&self) -> Vec<String> {
        let all = [&self.redis_success, &self.redis_fail, &self.rdbms_success, &self.rdbms_fail];
        all.map(|counter| format!("{}: {}", counter.name, counter.value)).into()
    }

    /// Where they do not say what was counted here.
    pub fn differences(&self, counted: &Comparison) -> Vec<String> {
        [
            self.redis_success.unlike(counted.documents, "entries in the stream"),
            self.rdbms_success.unlike(counted.rows, "rows in the table"),
            self.rdbms_fail.unlike(0, "expected: the table write_behind_dead_letter says which events and why"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Counter {
    async fn read(connection: &mut RedisConnection, name: String) -> Result<Counter, PipelineError> {
        let doing = format!("reading the counter `{name}`");
        let reply = connection.command(redis::cmd("GET").arg(&name)).await;
        let reply = reply.map_err(|error| connection.failure(&doing, &error))?;
        // What was never counted has no key.
        let value = if reply == Value::Nil { Ok(0) } else { redis::from_redis_value(reply) };
        let value = value.map_err(|error| {
            PipelineError::Failed(format!("{doing}: it is no number: {error}; name another folder with --folder"))
        })?;
        Ok(Counter { name, value })
    }

    fn unlike(&self, counted: u64, what: &str) -> Option<String> {
        let Counter { name, value } = self;
        (*value != counted).then(|| format!("{name} is {value}, but there are {counted} {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(values: [u64; 4]) -> Counters {
        let counter = |name: String, value| Counter { name, value };
        Counters {
            redis_success: counter(names::redis_success("e"), values[0]),
            redis_fail: counter(names::redis_fail("e"), values[1]),
            rdbms_success: counter(names::rdbms_success("e"), values[2]),
            rdbms_fail: counter(names::rdbms_fail("e"), values[3]),
        }
    }

    #[test]
    fn counters_are_checked_against_what_is_there() {
        let counted = Comparison { documents: 7, rows: 7, differences: Vec::new() };
        assert_eq!(counters([7, 0, 7, 0]).differences(&counted), Vec::<String>::new());
        let told = counters([8, 0, 6, 1]).differences(&counted).join("\n");
        for part in ["e:redis:success is 8, but there are 7", "e:rdbms:success is 6", "e:rdbms:fail is 1"] {
            assert!(told.contains(part), "`{part}` in {told}");
        }
        assert_eq!(counters([1, 2, 3, 4]).lines()[2], "metrics:e:rdbms:success: 3");
    }
}
