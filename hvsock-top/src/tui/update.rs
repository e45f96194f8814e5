//! What actions do to the state.

use std::time::Duration;

use super::{
    action::{Action, View},
    app::{App, Effect, Mode},
    columns,
    feed::{Control, INTERVALS_MS, SPEEDS},
    input::Input,
    rows, save,
};

impl App {
    /// Does what was asked for.
    pub fn apply(&mut self, action: Action) -> Vec<Effect> {
        self.notice = None;
        match action {
            Action::Quit => return vec![Effect::Quit],
            Action::Help => self.mode = Mode::Help(0),
            Action::Freeze => return self.freeze(),
            Action::NextView => self.turn(1),
            Action::PreviousView => self.turn(View::ALL.len() - 1),
            Action::Show(view) => self.show(view),
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::PageUp => self.step(-self.page()),
            Action::PageDown => self.step(self.page()),
            Action::First => self.step(isize::MIN),
            Action::Last => self.step(isize::MAX),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::Filter => self.mode = Mode::Filter(Input::new(&self.filter.text)),
            Action::SortMenu => self.sort_menu(),
            Action::SortNext => self.sort_by_step(1),
            Action::SortPrevious => self.sort_by_step(columns::ALL.len()),
            Action::Reverse => {
                self.sort.descending = !self.sort.descending;
                self.held = None;
            }
            Action::Hold => self.hold(),
            Action::Gone => self.show_gone = !self.show_gone,
            Action::Window => self.recent = !self.recent,
            Action::Faster => return self.pace(true),
            Action::Slower => return self.pace(false),
            Action::StepBack => return self.wind(-1),
            Action::StepForward => return self.wind(1),
            Action::SeekBack => return self.wind(-10),
            Action::SeekForward => return self.wind(10),
            Action::SeekFirst => return self.wind(isize::MIN),
            Action::SeekLast => return self.wind(isize::MAX),
            Action::Copy => return save::copy(self),
            Action::SaveCsv => return save::effect(self, save::Format::Csv),
            Action::SaveJson => return save::effect(self, save::Format::Json),
            Action::Theme => {
                self.theme.palette = self.theme.palette.next();
                self.say(format!("colours: {}", self.theme.palette.name()));
            }
        }
        Vec::new()
    }

    /// A recording pauses or plays; the live kernel's picture is frozen while collection goes on.
    fn freeze(&mut self) -> Vec<Effect> {
        if let Some(position) = &self.position {
            return vec![Effect::Control(Control::Play(!position.playing))];
        }
        self.frozen = match self.frozen.take() {
            Some(_) => None,
            None => Some(Box::new(self.live.clone())),
        };
        Vec::new()
    }

    /// Goes to a view.
    pub fn show(&mut self, view: View) {
        if view == View::Detail && self.connection().is_none() {
            let first = rows::connections(self).first().map(|row| row.connection.id.clone());
            if let Some(id) = first {
                self.selected.insert(View::Connections, id);
            }
        }
        if view != self.view {
            self.before = Some(self.view);
            self.view = view;
        }
    }

    fn turn(&mut self, by: usize) {
        let at = View::ALL.iter().position(|v| *v == self.view).unwrap_or(0);
        self.show(View::ALL[(at + by) % View::ALL.len()]);
    }

    fn page(&self) -> isize {
        isize::try_from(self.shown.height.get().max(2) - 1).unwrap_or(1)
    }

    /// Moves the selection; where nothing is selected it begins at the top.
    fn step(&mut self, by: isize) {
        // The detail moves along the list it came from.
        let view = if self.view == View::Detail { View::Connections } else { self.view };
        let keys = rows::keys(self, view);
        let Some(last) = keys.len().checked_sub(1) else { return };
        let at = self.selected.get(&view).and_then(|key| keys.iter().position(|k| k == key));
        let to = match at {
            None if by == isize::MAX => last,
            None => 0,
            Some(at) => at.saturating_add_signed(by).min(last),
        };
        self.selected.insert(view, keys[to].clone());
        // Whoever moves wants to see where to, also if it is where it was.
        self.shown.followed.replace(None);
    }

    /// Enter: from a row to what it is about.
    fn open(&mut self) {
        let key = self.selection().map(str::to_owned);
        match (self.view, key) {
            (View::Connections, _) => self.show(View::Detail),
            (View::Overview, _) => self.show(View::Connections),
            (View::Listeners, Some(port)) => {
                self.set_filter(&format!("port:{port}"));
                self.show(View::Connections);
            }
            (View::Findings, Some(key)) => self.open_finding(&key),
            (View::Events, Some(number)) => self.open_event(&number),
            (_, None) => {
                self.step(0);
                if self.selection().is_some() {
                    self.open();
                }
            }
            _ => {}
        }
    }

    fn open_finding(&mut self, key: &str) {
        let about = self.picture().snapshot.as_ref().and_then(|snapshot| {
            let findings = rows::findings(snapshot)?;
            let finding = findings.into_iter().find(|f| rows::finding_key(f) == key)?;
            Some((finding.connections.clone(), finding.port))
        });
        match about {
            Some((connections, _)) if !connections.is_empty() => {
                let query: Vec<_> = connections.iter().map(|id| format!("id=\"{id}\"")).collect();
                self.set_filter(&query.join(" or "));
                self.selected.insert(View::Connections, connections[0].clone());
                self.show(View::Connections);
            }
            Some((_, Some(port))) => {
                let listens = rows::listeners(self).iter().any(|l| l.port == port);
                if listens {
                    self.selected.insert(View::Listeners, port.to_string());
                    self.show(View::Listeners);
                } else {
                    self.set_filter(&format!("port:{port}"));
                    self.show(View::Events);
                }
            }
            _ => self.show(View::Probes),
        }
    }

    fn open_event(&mut self, number: &str) {
        let id = rows::events(self)
            .into_iter()
            .find(|(n, _)| n.to_string() == number)
            .and_then(|(_, event)| event.id.clone());
        match id {
            Some(id) if self.picture().row(&id).is_some() => {
                self.selected.insert(View::Connections, id);
                self.show(View::Detail);
            }
            Some(_) => self.say("this connection is gone"),
            None => self.say("this event is about no connection"),
        }
    }

    /// Esc: the last step, whatever it was.
    fn back(&mut self) {
        if self.view == View::Detail {
            self.show(self.before.filter(|v| *v != View::Detail).unwrap_or(View::Connections));
        } else if !self.filter.text.is_empty() {
            self.set_filter("");
        } else if self.selected.remove(&self.view).is_none() {
            self.show(self.before.unwrap_or_default());
        }
    }

    fn hold(&mut self) {
        self.held = if self.held.is_some() {
            None
        } else {
            let keys = rows::keys(self, View::Connections);
            Some(keys.into_iter().enumerate().map(|(place, id)| (id, place)).collect())
        };
    }

    fn sort_menu(&mut self) {
        let at = self.sort.by.and_then(|by| columns::ALL.iter().position(|w| *w == by));
        self.mode = Mode::Sort(at.map_or(0, |at| at + 1));
    }

    /// Sorts by a column of [`columns::ALL`], or with `None` by activity. The same again turns the order round.
    pub fn sort_by(&mut self, column: Option<usize>) {
        let by = column.map(|at| columns::ALL[at]);
        if self.sort.by == by {
            self.sort.descending = !self.sort.descending;
        } else {
            self.sort.by = by;
            self.sort.descending = by.is_none_or(columns::Which::descends);
        }
        self.held = None;
    }

    /// One column on, of the columns and activity in a ring.
    fn sort_by_step(&mut self, by: usize) {
        let at =
            self.sort.by.and_then(|by| columns::ALL.iter().position(|w| *w == by)).map_or(0, |at| at + 1);
        let to = (at + by) % (columns::ALL.len() + 1);
        self.sort_by(to.checked_sub(1));
    }

    /// A shorter or longer interval of the live kernel; another speed of a recording.
    fn pace(&mut self, faster: bool) -> Vec<Effect> {
        if let Some(position) = &mut self.position {
            let now = position.speed;
            let mut speeds = SPEEDS.iter().copied();
            let speed = if faster { speeds.find(|s| *s > now) } else { speeds.rfind(|s| *s < now) };
            let Some(speed) = speed else { return Vec::new() };
            position.speed = speed;
            return vec![Effect::Control(Control::Speed(speed))];
        }
        let now = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX);
        let mut choices = INTERVALS_MS.iter().copied();
        let choice = if faster { choices.rfind(|ms| *ms < now) } else { choices.find(|ms| *ms > now) };
        let Some(ms) = choice else { return Vec::new() };
        self.interval = Duration::from_millis(ms);
        vec![Effect::Control(Control::Interval(self.interval))]
    }

    /// Winds a recording; it stands still then.
    fn wind(&mut self, by: isize) -> Vec<Effect> {
        let Some(position) = &self.position else {
            self.say("this is the live kernel; only a recording can be wound");
            return Vec::new();
        };
        let to = position.index.saturating_add_signed(by).min(position.count.saturating_sub(1));
        vec![Effect::Control(Control::Seek(to))]
    }
}
