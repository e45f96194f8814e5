//! Drawings: the cost against the number of sockets.

mod experiment;

use plotters::{
    coord::{Shift, ranged1d::Ranged},
    prelude::{
        BLACK, Cartesian2d, ChartBuilder, ChartContext, Circle, Color as _, DrawingArea,
        DrawingAreaErrorKind, IntoDrawingArea as _, IntoLogRange as _, LineSeries, PathElement, RGBColor,
        SVGBackend, SeriesLabelPosition, WHITE,
    },
};

use super::{
    experiment::ExperimentReport,
    lab::{Cache, Kind, LabReport, Structure},
};

/// Times below this cannot be told from nothing, and are drawn here, nanoseconds.
const FLOOR_NS: f64 = 0.5;

/// Pixels.
const SIZE: (u32, u32) = (1100, 520);

/// Colours that people with any colour vision can tell apart (Okabe and Ito, 2008).
const fn colour(structure: Structure) -> RGBColor {
    match structure {
        Structure::ListByGuid => RGBColor(213, 94, 0),
        Structure::ListByChannel => RGBColor(230, 159, 0),
        Structure::Hash251 => RGBColor(0, 114, 178),
        Structure::HashGrowing => RGBColor(0, 158, 115),
        Structure::Pointer => RGBColor(100, 100, 100),
    }
}

type Failed<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as plotters::prelude::DrawingBackend>::ErrorType>;

/// The laboratory's report as SVG: a socket at random, with warm caches and with cold ones, quartiles as bars.
pub fn lab(report: &LabReport) -> Result<String, String> {
    let mut svg = String::new();
    draw(&mut svg, report).map_err(|error| format!("cannot draw: {error}"))?;
    Ok(svg)
}

/// The experiment's report as SVG: what the lookup of an open costs, and a whole life, against the connections that exist.
pub fn experiment(report: &ExperimentReport) -> Result<String, String> {
    let mut svg = String::new();
    experiment::draw(&mut svg, report).map_err(|error| format!("cannot draw: {error}"))?;
    Ok(svg)
}

fn draw<'a>(svg: &'a mut String, report: &LabReport) -> Result<(), Failed<'a>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let largest = report.cells.iter().map(|cell| cell.sockets).max().unwrap_or(1);
    let slowest = report.cells.iter().map(|cell| cell.ns.p75).fold(1.0, f64::max);
    let title = if report.complete { "" } else { " (NOT COMPLETE)" };
    for (area, cache, name) in root
        .split_evenly((1, 2))
        .iter()
        .zip([(Cache::Warm, "caches warm"), (Cache::Cold, "caches cold")])
        .map(|(area, (cache, name))| (area, cache, name))
    {
        panel(area, report, cache, &format!("A socket at random, {name}{title}"), (largest, slowest))?;
    }
    root.present()
}

fn panel<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    report: &LabReport,
    cache: Cache,
    title: &str,
    (largest, slowest): (u32, f64),
) -> Result<(), Failed<'a>> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (0.8..f64::from(largest.max(2)) * 1.3).log_scale(),
            (FLOOR_NS..slowest * 2.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("sockets")
        .y_desc("nanoseconds per lookup, without the fixed cost")
        .x_label_formatter(&|n| format!("{n:.0}"))
        .y_label_formatter(&|ns| if *ns < 1.0 { format!("{ns:.1}") } else { format!("{ns:.0}") })
        .light_line_style(BLACK.mix(0.06))
        .draw()?;
    for structure in Structure::ALL {
        let colour = colour(structure);
        let cells: Vec<_> = report
            .cells
            .iter()
            .filter(|c| c.structure == structure && c.kind == Kind::Hit && c.cache == cache)
            .collect();
        let point = |n: u32, ns: f64| (f64::from(n), ns.max(FLOOR_NS));
        chart
            .draw_series(LineSeries::new(
                cells.iter().map(|c| point(c.sockets, c.ns.median)),
                colour.stroke_width(2),
            ))?
            .label(structure.label())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(cells.iter().map(|c| {
            PathElement::new([point(c.sockets, c.ns.p25), point(c.sockets, c.ns.p75)], colour.stroke_width(1))
        }))?;
        chart.draw_series(
            cells.iter().map(|c| Circle::new(point(c.sockets, c.ns.median), 3, colour.filled())),
        )?;
    }
    legend(&mut chart)
}

/// What each line stands for.
fn legend<'a, X: Ranged, Y: Ranged>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
) -> Result<(), Failed<'a>> {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()
}
