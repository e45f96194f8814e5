//! The experiment: what a connection costs against those that exist.

use plotters::{
    coord::Shift,
    prelude::{
        BLACK, ChartBuilder, Circle, Color as _, DrawingArea, IntoDrawingArea as _, LineSeries, PathElement,
        RGBColor, SVGBackend, WHITE,
    },
};

use super::{Failed, SIZE, legend};
use crate::lookup::experiment::{Direction, ExperimentReport, OpenCell, Unit, Variant};

/// As in the laboratory's drawing, for what is alike.
const fn colour(variant: Variant) -> RGBColor {
    match variant {
        Variant::AfHypervList => RGBColor(213, 94, 0),
        Variant::AfHypervHash => RGBColor(0, 114, 178),
        Variant::AfHypervPointer => RGBColor(100, 100, 100),
        Variant::HvSock => RGBColor(0, 158, 115),
    }
}

/// What a panel shows of a cell.
type Value = fn(&OpenCell) -> Option<f64>;

pub(super) fn draw<'a>(svg: &'a mut String, report: &ExperimentReport) -> Result<(), Failed<'a>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let panels: [(&str, Value); 2] = [
        ("The lookup of an open from the host", |cell| cell.phase("lookup")?.cost.mean),
        ("All that is run for the connection", |cell| cell.life.median.map(|n| n as f64)),
    ];
    for (area, (title, value)) in root.split_evenly((1, 2)).iter().zip(panels) {
        panel(area, report, title, value)?;
    }
    root.present()
}

fn panel<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    report: &ExperimentReport,
    title: &str,
    value: Value,
) -> Result<(), Failed<'a>> {
    let points = |variant: Variant| -> Vec<(f64, f64)> {
        let cells = report.opens.iter().filter(move |c| {
            (c.variant, c.unit, c.direction, c.services, c.run)
                == (variant, Unit::Instructions, Direction::FromHost, 1, 1)
        });
        cells.filter_map(|cell| Some((f64::from(cell.idle), value(cell)?))).collect()
    };
    let all = || Variant::ALL.into_iter().flat_map(points);
    let right = all().map(|(x, _)| x).fold(1.0, f64::max) * 1.05;
    let top = all().map(|(_, y)| y).fold(1.0, f64::max) * 1.25;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc("connections that exist")
        .y_desc("instructions")
        .x_label_formatter(&|n| format!("{n:.0}"))
        .y_label_formatter(&|n| format!("{n:.0}"))
        .light_line_style(BLACK.mix(0.06))
        .draw()?;
    for variant in Variant::ALL {
        let colour = colour(variant);
        let points = points(variant);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(variant.label())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    legend(&mut chart)
}
