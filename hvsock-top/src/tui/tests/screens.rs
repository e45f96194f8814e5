//! Every view of every guest at three sizes, as it was last looked at and found good.

use ratatui::style::Color;

use super::{app, drawn, guests, text};
use crate::tui::{
    App, Palette, Position, Theme, Update,
    action::{Action, View},
};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

fn every_view(name: &str, app: &mut App) {
    for view in View::ALL {
        app.apply(Action::Show(view));
        for (columns, rows) in SIZES {
            let screen = text(&drawn(app, columns, rows));
            let view = view.title().0.to_lowercase();
            insta::assert_snapshot!(format!("{name}_{view}_{columns}x{rows}"), screen);
        }
    }
}

#[test]
fn a_busy_guest() {
    let mut app = app();
    guests::demo(&mut app, 14);
    every_view("demo", &mut app);
}

#[test]
fn a_guest_on_which_nothing_happens() {
    let mut app = app();
    guests::empty(&mut app);
    every_view("empty", &mut app);
}

#[test]
fn one_connection_with_long_and_wide_names() {
    let mut app = app();
    guests::one(&mut app);
    every_view("one", &mut app);
}

#[test]
fn what_is_unknown() {
    let mut app = app();
    guests::unknown(&mut app);
    every_view("unknown", &mut app);
}

#[test]
fn as_many_connections_as_there_can_be() {
    let mut app = app();
    guests::crowd(&mut app);
    every_view("crowd", &mut app);
}

#[test]
fn overlays() {
    let mut app = app();
    guests::demo(&mut app, 14);
    app.apply(Action::Show(View::Connections));
    app.apply(Action::Help);
    for (columns, rows) in SIZES {
        insta::assert_snapshot!(format!("help_{columns}x{rows}"), text(&drawn(&app, columns, rows)));
    }
    app.mode = crate::tui::app::Mode::Normal;
    app.apply(Action::SortMenu);
    insta::assert_snapshot!("sort_80x24", text(&drawn(&app, 80, 24)));
    app.mode = crate::tui::app::Mode::Normal;
    app.apply(Action::Filter);
    "port:5000 or prt:1".chars().for_each(|c| {
        let key = crossterm::event::KeyCode::Char(c);
        app.key(crossterm::event::KeyEvent::from(key));
    });
    insta::assert_snapshot!("filter_wrong_80x24", text(&drawn(&app, 80, 24)));
}

#[test]
fn a_recording() {
    let mut app = app();
    guests::demo(&mut app, 8);
    app.take(Update::Position(Position {
        index: 7,
        count: 76,
        complete: false,
        at_ns: 7_000_000_000,
        length_ns: 75_000_000_000,
        playing: false,
        speed: 0.5,
    }));
    for (columns, rows) in SIZES {
        insta::assert_snapshot!(format!("recording_{columns}x{rows}"), text(&drawn(&app, columns, rows)));
    }
}

#[test]
fn no_view_needs_more_than_ascii_when_that_is_all_there_is() {
    let mut app = app();
    app.theme = Theme { palette: Palette::Mono, ascii: true };
    guests::one(&mut app);
    for view in View::ALL {
        app.apply(Action::Show(view));
        let screen = text(&drawn(&app, 120, 40));
        assert!(screen.is_ascii(), "{view:?}:\n{screen}");
    }
}

#[test]
fn without_colours_there_are_none() {
    let mut app = app();
    app.theme = Theme { palette: Palette::Mono, ascii: false };
    guests::demo(&mut app, 14);
    for view in View::ALL {
        app.apply(Action::Show(view));
        let buffer = drawn(&app, 120, 40);
        let plain = |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
        assert!(buffer.content.iter().all(plain), "{view:?}");
    }
}

#[test]
fn what_was_missed_is_red() {
    let mut app = app();
    guests::unknown(&mut app);
    for (columns, rows) in SIZES {
        let buffer = drawn(&app, columns, rows);
        let line: String = (0..columns).map(|x| buffer[(x, 1)].symbol()).collect();
        let at = line.chars().position(|c| c == '✘').expect("the header says nothing of it");
        assert!(line.contains("EVENTS MISSED"), "{line}");
        assert_eq!(buffer[(at as u16, 1)].fg, Color::Indexed(203));
    }
}

#[test]
fn any_size_can_be_drawn() {
    let mut app = app();
    guests::one(&mut app);
    for view in View::ALL {
        app.apply(Action::Show(view));
        for columns in (1..260).step_by(23) {
            for rows in (1..90).step_by(7) {
                drawn(&app, columns, rows);
            }
        }
    }
}

#[test]
fn even_the_smallest_screen_says_whether_something_was_missed() {
    let mut app = app();
    guests::unknown(&mut app);
    let screen = text(&drawn(&app, 40, 5));
    assert!(screen.contains("EVENTS MISSED"), "{screen}");
}
