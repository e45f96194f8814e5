//! What sequences of keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::{app, drawn, guests, text};
use crate::{
    model::{Connection, Snapshot},
    tui::{
        App, Control, Position, Update,
        action::View,
        app::{Effect, Mode},
        columns::Which,
        rows,
    },
};

/// Types `keys`: a word in angle brackets is a key's name.
fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        let name = if c == '<' { rest[1..].split_once('>').filter(|(name, _)| name.len() > 1) } else { None };
        let code = if let Some((name, after)) = name {
            rest = after;
            match name {
                "enter" => KeyCode::Enter,
                "esc" => KeyCode::Esc,
                "down" => KeyCode::Down,
                "up" => KeyCode::Up,
                "end" => KeyCode::End,
                "home" => KeyCode::Home,
                "pagedown" => KeyCode::PageDown,
                "tab" => KeyCode::Tab,
                "backtab" => KeyCode::BackTab,
                "left" => KeyCode::Left,
                "right" => KeyCode::Right,
                other => panic!("no key {other}"),
            }
        } else {
            rest = &rest[c.len_utf8()..];
            KeyCode::Char(c)
        };
        effects.extend(app.key(KeyEvent::from(code)));
    }
    effects
}

fn click(app: &mut App, column: u16, row: u16) -> Vec<Effect> {
    app.mouse(MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column,
        row,
        modifiers: KeyModifiers::NONE,
    })
}

fn ids(app: &App) -> Vec<String> {
    rows::keys(app, View::Connections)
}

/// A Snapshot with connections that have sent so much.
fn sending(second: u64, sent: &[(u32, u64)]) -> Update {
    let mut snapshot = Snapshot::blank(second);
    snapshot.connections = sent
        .iter()
        .map(|(relid, bytes)| {
            let mut connection = Connection::blank(*relid, 5000);
            connection.tx.bytes = Some(*bytes);
            connection
        })
        .collect();
    Update::Snapshot(Box::new(snapshot))
}

#[test]
fn views_are_reached_by_number_and_in_turn() {
    let mut app = app();
    guests::demo(&mut app, 2);
    for (key, view) in ('1'..='9').zip(View::ALL) {
        press(&mut app, &key.to_string());
        assert_eq!(app.view, view);
    }
    press(&mut app, "<tab>");
    assert_eq!(app.view, View::Overview);
    press(&mut app, "<backtab>");
    assert_eq!(app.view, View::Events);
}

#[test]
fn the_selection_follows_the_connection_not_the_row() {
    let mut app = app();
    app.take(sending(1, &[(1, 0), (2, 0), (3, 0)]));
    app.take(sending(2, &[(1, 300), (2, 200), (3, 100)]));
    press(&mut app, "2<down><down>");
    assert_eq!((ids(&app), app.connection()), (vec!["1-1".into(), "2-1".into(), "3-1".into()], Some("2-1")));
    app.take(sending(3, &[(1, 300), (2, 200), (3, 9_000)]));
    assert_eq!(ids(&app)[0], "3-1");
    assert_eq!(app.connection(), Some("2-1"));
    app.take(sending(4, &[(1, 300), (3, 9_000)]));
    assert_eq!(app.connection(), Some("2-1"), "also when it is gone");
    press(&mut app, "3");
    assert!(text(&drawn(&app, 80, 24)).contains("gone"), "{}", text(&drawn(&app, 80, 24)));
}

#[test]
fn a_connection_that_goes_does_not_take_the_list_with_it() {
    let mut app = app();
    let many: Vec<_> = (1..60).map(|relid| (relid, 0)).collect();
    app.take(sending(1, &many));
    press(&mut app, "2<down>");
    let first = |app: &App| {
        drawn(app, 120, 24);
        app.shown.first.borrow()[&View::Connections]
    };
    assert_eq!((first(&app), app.connection()), (0, Some("1-1")));
    app.take(sending(2, &many[1..]));
    assert_eq!(ids(&app).last().map(String::as_str), Some("1-1"), "what is gone comes last");
    assert_eq!(first(&app), 0);
    // Whoever goes to the end wants to see it.
    press(&mut app, "<up><end>");
    assert!(first(&app) > 0);
    assert!(text(&drawn(&app, 120, 24)).contains("gone"));
}

#[test]
fn enter_looks_closer_also_where_nothing_is_selected() {
    let mut app = app();
    app.take(sending(1, &[(1, 0), (2, 0)]));
    press(&mut app, "2<enter>");
    assert_eq!((app.view, app.connection()), (View::Detail, Some("1-1")));
}

#[test]
fn freezing_stops_the_picture_and_not_collection() {
    let mut app = app();
    app.take(sending(1, &[(1, 0)]));
    press(&mut app, "2 ");
    app.take(sending(2, &[(1, 100), (2, 0)]));
    assert_eq!(ids(&app), ["1-1"]);
    let screen = text(&drawn(&app, 80, 24));
    assert!(screen.contains("FROZEN"), "{screen}");
    assert_eq!(app.live.history.tx.len(), 2, "collection went on");
    press(&mut app, " ");
    assert_eq!(ids(&app).len(), 2);
}

#[test]
fn a_held_order_stays() {
    let mut app = app();
    app.take(sending(1, &[(1, 0), (2, 0)]));
    app.take(sending(2, &[(1, 100), (2, 50)]));
    press(&mut app, "2o");
    app.take(sending(3, &[(0, 1_000_000), (1, 100), (2, 5_000)]));
    assert_eq!(ids(&app), ["1-1", "2-1", "0-1"], "the new one comes last");
    press(&mut app, "o");
    assert_eq!(ids(&app), ["0-1", "2-1", "1-1"]);
}

#[test]
fn rows_alike_do_not_move() {
    let mut app = app();
    app.take(sending(1, &[(3, 0), (1, 0), (2, 0)]));
    app.take(sending(2, &[(2, 0), (3, 0), (1, 0)]));
    assert_eq!(ids(&app), ["1-1", "2-1", "3-1"]);
}

#[test]
fn a_filter_works_as_it_is_written_and_its_errors_leave_the_last_one() {
    let mut app = app();
    guests::demo(&mut app, 14);
    press(&mut app, "2x");
    let all = ids(&app).len();
    press(&mut app, "/port:5021");
    assert_eq!(ids(&app).len(), 1, "before enter");
    press(&mut app, " or (");
    assert!(app.filter.error.is_some());
    assert_eq!(ids(&app).len(), 1, "one that makes no sense changes nothing");
    press(&mut app, "<enter>");
    assert!(matches!(app.mode, Mode::Filter(_)), "it stays to be mended");
    press(&mut app, "port:5000)<enter>");
    assert_eq!(app.mode, Mode::Normal);
    assert!(ids(&app).len() > 1 && ids(&app).len() < all);
    press(&mut app, "<esc>");
    assert_eq!(ids(&app).len(), all, "esc drops it");
    press(&mut app, "/zzz<esc>");
    assert_eq!(ids(&app).len(), all);
}

#[test]
fn sorting_goes_by_menu_by_key_and_by_mouse() {
    let mut app = app();
    guests::demo(&mut app, 14);
    press(&mut app, "2s<down><down><enter>");
    assert_eq!((app.sort.by, app.sort.descending), (Some(Which::Process), false));
    let names = |app: &App| {
        rows::connections(app)
            .iter()
            .filter(|r| r.gone_for_ns.is_none())
            .filter_map(|r| r.connection.comm.clone())
            .collect::<Vec<_>>()
    };
    assert!(names(&app).is_sorted());
    press(&mut app, "r");
    assert!(names(&app).is_sorted_by(|a, b| a >= b));
    press(&mut app, ">");
    assert_eq!(app.sort.by, Some(Which::Direction));
    press(&mut app, "<");
    assert_eq!(app.sort.by, Some(Which::Process));
    let screen = text(&drawn(&app, 120, 40));
    let heading = screen.lines().nth(3).unwrap();
    let column = heading.chars().position(|c| c == 'A').map(|_| heading.find("AGE").unwrap()).unwrap();
    let column = heading[..column].chars().count();
    click(&mut app, column as u16, 3);
    assert_eq!((app.sort.by, app.sort.descending), (Some(Which::Age), true));
    click(&mut app, column as u16, 3);
    assert!(!app.sort.descending, "again: the other way round");
}

#[test]
fn the_mouse_selects_and_opens() {
    let mut app = app();
    guests::demo(&mut app, 14);
    press(&mut app, "2");
    drawn(&app, 80, 24);
    click(&mut app, 10, 5);
    let second = ids(&app)[1].clone();
    assert_eq!(app.connection(), Some(second.as_str()));
    drawn(&app, 80, 24);
    click(&mut app, 10, 5);
    assert_eq!(app.view, View::Detail);
    drawn(&app, 80, 24);
    click(&mut app, 4, 2);
    assert_eq!(app.view, View::Overview, "a click on a view's name shows it");
}

#[test]
fn enter_goes_to_what_a_row_is_about_and_esc_back() {
    let mut app = app();
    guests::demo(&mut app, 14);
    press(&mut app, "2<down><enter>");
    assert_eq!(app.view, View::Detail);
    press(&mut app, "<esc>");
    assert_eq!(app.view, View::Connections);
    press(&mut app, "7");
    let finding = rows::keys(&app, View::Findings);
    assert!(!finding.is_empty(), "the recording has findings");
    press(&mut app, "<down><enter>");
    assert_ne!(app.view, View::Findings, "somewhere it is explained");
    press(&mut app, "4<home><enter>");
    assert_eq!((app.view, app.filter.text.as_str()), (View::Connections, "port:8080"));
    press(&mut app, "<down><enter>");
    assert_eq!(app.view, View::Detail);
    press(&mut app, "<esc>");
    assert_eq!((app.view, app.filter.text.as_str()), (View::Connections, "port:8080"), "one step at a time");
    press(&mut app, "<esc>");
    assert_eq!(app.filter.text, "");
}

#[test]
fn keys_that_move_stay_within_the_rows() {
    let mut app = app();
    guests::crowd(&mut app);
    press(&mut app, "2");
    drawn(&app, 80, 24);
    press(&mut app, "<up><up>");
    let all = ids(&app);
    assert_eq!(app.connection(), Some(all[0].as_str()));
    press(&mut app, "<end><down>");
    assert_eq!(app.connection(), all.last().map(String::as_str));
    assert!(text(&drawn(&app, 80, 24)).contains(' '));
    press(&mut app, "<home><pagedown>");
    assert_eq!(app.connection(), Some(all[18].as_str()), "a page less one row");
}

#[test]
fn the_interval_changes_while_it_runs() {
    let mut app = app();
    assert_eq!(
        press(&mut app, "+"),
        [Effect::Control(Control::Interval(std::time::Duration::from_millis(500)))]
    );
    assert_eq!(press(&mut app, "+++++").len(), 2, "no shorter than 100 ms");
    assert_eq!(press(&mut app, "-").len(), 1);
}

#[test]
fn a_recording_is_wound() {
    let mut app = app();
    guests::demo(&mut app, 3);
    let position = Position { index: 2, count: 76, playing: true, speed: 1.0, ..Position::default() };
    app.take(Update::Position(position));
    let control = |app: &mut App, keys: &str| match press(app, keys).as_slice() {
        [Effect::Control(control)] => *control,
        other => panic!("{keys}: {other:?}"),
    };
    assert_eq!(control(&mut app, " "), Control::Play(false));
    assert_eq!(control(&mut app, "<left>"), Control::Seek(1));
    assert_eq!(control(&mut app, "]"), Control::Seek(12));
    assert_eq!(control(&mut app, "["), Control::Seek(0));
    assert_eq!(control(&mut app, "}"), Control::Seek(75));
    assert_eq!(control(&mut app, "+"), Control::Speed(2.0));
    drawn(&app, 80, 24);
    match click(&mut app, 30, 22).as_slice() {
        [Effect::Control(Control::Seek(at))] => assert!((20..60).contains(at), "{at}"),
        other => panic!("{other:?}"),
    }
    assert!(app.frozen.is_none(), "a recording is paused, not frozen");
}

#[test]
fn the_live_kernel_cannot_be_wound_and_says_so() {
    let mut app = app();
    guests::demo(&mut app, 2);
    assert!(press(&mut app, "<left>").is_empty());
    assert!(text(&drawn(&app, 80, 24)).contains("only a recording can be wound"));
}

#[test]
fn what_is_shown_is_saved() {
    let mut app = app();
    guests::demo(&mut app, 14);
    press(&mut app, "2/port:5021<enter>");
    match press(&mut app, "c").as_slice() {
        [Effect::Save { name, text }] => {
            let middle =
                name.strip_prefix("hvsock-top-connections-").and_then(|rest| rest.strip_suffix(".csv"));
            assert!(middle.is_some_and(|time| time.starts_with("2026")), "{name}");
            assert_eq!(text.lines().count(), 1 + ids(&app).len(), "a heading and the rows shown");
            assert!(text.starts_with("state,process,"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    match press(&mut app, "e").as_slice() {
        [Effect::Save { name, text }] => {
            assert!(name.strip_suffix(".json").is_some(), "{name}");
            let saved: Vec<Connection> = serde_json::from_str(text).unwrap();
            assert_eq!(saved.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), ids(&app));
        }
        other => panic!("{other:?}"),
    }
    press(&mut app, "<down>");
    assert!(matches!(press(&mut app, "y").as_slice(), [Effect::Copy(text)] if text.contains("\"relid\"")));
    for view in "13456789".chars() {
        press(&mut app, &view.to_string());
        assert_eq!(press(&mut app, "ce").len(), 2, "view {view}");
    }
}

#[test]
fn quitting_always_works() {
    let mut app = app();
    for before in ["", "/port", "s", "?", "2<enter>"] {
        press(&mut app, before);
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(app.key(ctrl_c), [Effect::Quit], "after {before}");
        app.mode = Mode::Normal;
    }
    assert_eq!(press(&mut app, "q"), [Effect::Quit]);
}

#[test]
fn latency_of_late_differs_from_latency_since_the_start() {
    let mut app = app();
    guests::demo(&mut app, 14);
    press(&mut app, "5");
    let since = text(&drawn(&app, 120, 40));
    press(&mut app, "w");
    let late = text(&drawn(&app, 120, 40));
    assert!(since.contains("since the probes were attached") && late.contains("the last 1"), "{late}");
    assert_ne!(since, late);
}

#[test]
fn a_new_start_of_the_tool_is_no_burst() {
    let mut app = app();
    app.take(sending(50, &[(1, 1_000_000)]));
    app.take(sending(51, &[(1, 2_000_000)]));
    app.take(sending(5, &[(1, 5_000)]));
    assert_eq!(app.live.rates.tx, None);
    assert_eq!(app.live.history.tx.len(), 1);
}
