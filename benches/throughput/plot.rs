//! The report as a picture: how throughput changes with the backlog, the columns and the streams, and how latencies are
//! distributed.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::latency::{Latency, RATE};
use crate::report::{Line, Report, Spread};
use crate::table::grouped;

const SIZE: (u32, u32) = (1_200, 840);

const FONT: &str = "sans-serif";

const PIPELINE: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const LIMIT: RGBColor = RGBColor(0x8a, 0x8a, 0x8a);
const DATABASES: [RGBColor; 3] = [PIPELINE, RGBColor(0xd9, 0x6a, 0x0b), RGBColor(0x3a, 0x8f, 0x3a)];
const GRID: RGBColor = RGBColor(0xe4, 0xe4, 0xe4);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws `benchmark.svg` in a folder.
///
/// # Errors
/// The file cannot be written.
pub fn draw(report: &Report, folder: &Path) -> Drawn {
    let file = folder.join("benchmark.svg");
    let root = SVGBackend::new(&file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let machine = &report.machine;
    let place = format!("{}, {} cores, {:.0} GiB", machine.cpu, machine.cores, machine.memory_gib);
    let title = format!("Inline events appended to PostgreSQL, on {place}, at {}", machine.commit);
    let panels = root.margin(8, 8, 8, 8).titled(&title, (FONT, 18))?.split_evenly((2, 2));
    throughput(&panels[0], "Throughput by length of the backlog", "entries", &report.backlog)?;
    throughput(&panels[1], "Throughput by columns beside the key", "columns", &report.columns)?;
    throughput(&panels[2], "Throughput by streams, for the same number of events", "streams", &report.streams)?;
    latency(&panels[3], &report.latency)?;
    root.present()?;
    Ok(())
}

/// Limit and pipeline over what differs: medians, and bars from the least to the most.
fn throughput(panel: &Area<'_>, title: &str, unit: &str, lines: &[Line]) -> Drawn {
    let Some(right) = lines.iter().map(|line| line.x).max() else { return Ok(()) };
    let right = right as f64 * 1.05;
    let top = lines.iter().map(|line| line.limit.max.max(line.pipeline.max)).fold(0.0, f64::max) * 1.35;
    let mut chart = ChartBuilder::on(panel)
        .caption(title, (FONT, 17))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(BLACK)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|x| grouped(*x))
        .y_label_formatter(&|y| grouped(*y))
        .x_desc(unit)
        .y_desc("events/s")
        .draw()?;
    for (name, color, take) in [
        ("limit: binary COPY of the same rows", LIMIT, (|line: &Line| line.limit) as fn(&Line) -> Spread),
        ("pipeline", PIPELINE, |line: &Line| line.pipeline),
    ] {
        let points = lines.iter().map(|line| (line.x as f64, take(line)));
        let medians = points.clone().map(|(x, spread)| (x, spread.median));
        chart
            .draw_series(LineSeries::new(medians, color.stroke_width(2)).point_size(4))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(3)));
        chart
            .draw_series(points.map(|(x, spread)| {
                ErrorBar::new_vertical(x, spread.min, spread.median, spread.max, color.filled(), 8)
            }))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font((FONT, 13))
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .draw()?;
    Ok(())
}

/// For each database the share of events that were committed within a time.
fn latency(panel: &Area<'_>, latencies: &[Latency]) -> Drawn {
    let right = latencies.iter().map(|latency| latency.p99).fold(0.0, f64::max) * 1.5;
    if right == 0.0 {
        return Ok(());
    }
    let title = format!("From XADD to commit, at a steady {} events/s", grouped(RATE as f64));
    let mut chart = ChartBuilder::on(panel)
        .caption(title, (FONT, 17))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..right, 0.0..100.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(BLACK)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .x_labels(8)
        .y_labels(6)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .x_desc("ms")
        .y_desc("% of events committed")
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    for (latency, color) in latencies.iter().zip(DATABASES) {
        let name = format!("{}: p50 {:.1} ms, p99 {:.1} ms", latency.database, latency.p50, latency.p99);
        let points = latency.distribution.iter().map(|(ms, share)| (*ms, share * 100.0));
        let points = std::iter::once((0.0, 0.0)).chain(points.filter(|(ms, _)| *ms <= right));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font((FONT, 13))
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .draw()?;
    Ok(())
}
