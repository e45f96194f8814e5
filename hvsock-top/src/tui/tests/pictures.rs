//! The pictures in docs/img are what the screen shows of the recording that the repository carries. `UPDATE_PICTURES=1 cargo test -p hvsock-top pictures`
//! draws them anew.

use std::{fs, path::Path};

use super::{app, drawn, guests, svg::svg};
use crate::tui::action::{Action, View};

#[test]
fn pictures_are_what_the_screen_shows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/img");
    let mut app = app();
    guests::demo(&mut app, 14);
    let views = [
        View::Overview,
        View::Connections,
        View::Detail,
        View::Listeners,
        View::Latency,
        View::Lookup,
        View::Findings,
    ];
    for view in views {
        app.apply(Action::Show(view));
        let name = format!("tui-{}.svg", view.title().0.to_lowercase());
        let (columns, rows) = if view == View::Overview { (120, 34) } else { (120, 30) };
        let picture = svg(&drawn(&app, columns, rows));
        let path = folder.join(&name);
        if std::env::var_os("UPDATE_PICTURES").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &picture).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == picture,
            "docs/img/{name} is not what the screen shows; UPDATE_PICTURES=1 draws it anew"
        );
    }
}
