//! Every fault that the reliability page speaks of, on real servers. `make test` runs a short form, `make chaos` the
//! full size; both print what they did to the table of [`report`].

/// A test on each database for each function named, which takes the kind of database.
macro_rules! on_each_database {
    ($($name:ident),*) => { $(
        mod $name {
            use crate::support::database::Kind;

            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                super::$name(Kind::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                super::$name(Kind::Postgres).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn mariadb() {
                super::$name(Kind::MariaDb).await;
            }
        }
    )* };
}

mod backlog;
mod columns_changed;
mod database_killed;
mod database_refuses;
mod deadlocks;
mod disk_full;
mod drained;
mod followed_back;
mod ledger;
mod locks;
mod network;
mod owners;
#[cfg(feature = "failpoints")]
mod panics;
mod poison;
mod process_killed;
mod redis_killed;
mod redis_loses;
mod report;
mod restored;
mod scene;
mod schema_changed;

#[cfg(not(feature = "failpoints"))]
#[test]
#[ignore = "panics and hangs are tested only with --features failpoints, as `make test` does"]
fn panics() {
    panic!("run the tests with --features failpoints");
}
