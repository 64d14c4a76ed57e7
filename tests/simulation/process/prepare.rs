//! What a generation begins with, by the rules of `prepare` in `src/actors/stream_group.rs` and of
//! `src/sink/checkpoint.rs`. Others go on between any two steps.

use write_behind::audit::WentBack;
use write_behind::event::StreamId;
use write_behind::sink::checkpoint::{Position, Totals};
use write_behind::supervision::exit::ExitReason;

use super::Settings;
use crate::world::World;

#[derive(Debug)]
pub struct Prepared {
    pub positions: Vec<Position>,
    pub align: bool,
}

#[derive(Default)]
pub enum Preparing {
    #[default]
    Load,
    Look(Vec<Position>),
    FollowBack(Vec<Position>, StreamId),
    Divide(Vec<Position>),
}

impl Preparing {
    /// One step; answers what was found out at the end.
    ///
    /// # Errors
    /// The reason why the stream cannot be worked on now.
    pub fn step(
        &mut self,
        settings: &Settings,
        seen: Option<WentBack>,
        world: &mut World,
    ) -> Result<Option<Prepared>, ExitReason> {
        if world.random.chance(world.rates.lost_connection) {
            return Err(ExitReason::Database("the connection is gone".to_owned()));
        }
        let database = &mut world.database;
        match self {
            Preparing::Load => {
                database.create(settings.lanes);
                *self = Preparing::Look(database.state.checkpoint.clone());
            }
            // The checkpoint first: the stream's newest id cannot be below it then unless the stream went back.
            Preparing::Look(positions) => {
                let newest = world.stream.state().newest;
                let furthest = positions.iter().map(|position| position.last_id).max().unwrap_or_default();
                let seen = seen.filter(|seen| furthest <= seen.known);
                let newest = seen.map_or(newest, |seen| seen.newest.min(newest));
                let positions = std::mem::take(positions);
                *self = match newest < furthest {
                    true => Preparing::FollowBack(positions, newest),
                    false => Preparing::Divide(positions),
                };
            }
            Preparing::FollowBack(positions, newest) => {
                let back =
                    |position: &Position| Position { last_id: position.last_id.min(*newest), ..position.clone() };
                let after = positions.iter().map(back).collect();
                if let Some(replaced) = database.replace(positions, after) {
                    *self = Preparing::Divide(database.state.checkpoint.clone());
                    if replaced {
                        world.count("followed the stream back");
                    }
                }
            }
            Preparing::Divide(positions) => {
                let positions = std::mem::take(positions);
                if positions.len() == settings.lanes {
                    return Ok(Some(Prepared { positions, align: false }));
                }
                let one_position = positions.windows(2).all(|pair| pair[0].last_id == pair[1].last_id);
                if !one_position {
                    return Ok(Some(Prepared { positions, align: true }));
                }
                let first = Position { last_id: positions[0].last_id, ..Position::default() };
                let mut after = vec![first; settings.lanes];
                after[0].totals = Totals::sum(&positions.iter().map(|position| position.totals).collect::<Vec<_>>());
                match database.replace(&positions, after) {
                    None => *self = Preparing::Divide(positions),
                    Some(false) => return Ok(Some(Prepared { positions, align: true })),
                    Some(true) => {
                        let positions = database.state.checkpoint.clone();
                        world.count("divided anew");
                        return Ok(Some(Prepared { positions, align: false }));
                    }
                }
            }
        }
        Ok(None)
    }
}
