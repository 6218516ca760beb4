//! A structure as items: every fact once, in canonical order.
#![forbid(unsafe_code)]

use super::Structure;
use super::connector::Connector;
use super::item::Item;
use super::list::Joined;
use super::list::List;
use super::stop::Stop;
use crate::ident::PortMask;
use crate::ident::Transport;

type Items<'a> = Box<dyn Iterator<Item = Item> + 'a>;

/// Items that follow each other, and how many.
struct Section<'a> {
    count: u64,
    items: Items<'a>,
}

impl Structure {
    /// The state as items, lazily, in canonical order.
    pub fn items(&self) -> impl Iterator<Item = Item> {
        self.sections().flat_map(|section| section.items)
    }

    /// How many items there are.
    #[must_use]
    pub fn items_count(&self) -> u64 {
        self.sections().map(|section| section.count).sum()
    }

    /// At most `limit` items, the first `from` left out.
    #[must_use]
    pub fn items_page(&self, from: u64, limit: usize) -> Vec<Item> {
        let (mut skip, mut page) = (from, Vec::new());
        for section in self.sections() {
            if skip >= section.count {
                skip -= section.count;
                continue;
            }
            let left = limit - page.len();
            page.extend(section.items.skip(usize::try_from(skip).unwrap_or(usize::MAX)).take(left));
            skip = 0;
            if page.len() == limit {
                break;
            }
        }
        page
    }

    fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        let windows = self.connectors.iter().filter(|(_, connector)| connector.window.executed() > 0);
        let held = self.lists.iter().filter(|(_, list)| list.grants > 0);
        let resting = self.lists.iter().filter(|(_, list)| !list.queue.is_empty());
        std::iter::once(Section { count: 1, items: Box::new(std::iter::once(self.head_item())) })
            .chain(self.stop.map(stop_section))
            .chain(std::iter::once(self.ranges_section()))
            .chain(std::iter::once(self.sets_section()))
            .chain(std::iter::once(self.lists_section()))
            .chain(std::iter::once(self.connectors_section()))
            .chain(windows.map(|(slot, connector)| window_section(slot, connector)))
            .chain(std::iter::once(self.members_section()))
            .chain(held.map(|(_, list)| self.grants_section(list)))
            .chain(resting.map(|(slot, list)| quarantine_section(slot, list)))
    }

    pub(super) fn head_item(&self) -> Item {
        Item::Head { name: self.name, lsn: self.lsn }
    }

    pub(super) fn range_items(&self) -> impl Iterator<Item = Item> {
        let ranges = Transport::ALL.into_iter().zip(self.ranges);
        ranges.filter_map(|(transport, range)| Some(Item::Range { transport, range: range? }))
    }

    fn ranges_section(&self) -> Section<'_> {
        let count = self.ranges.iter().flatten().count() as u64;
        Section { count, items: Box::new(self.range_items()) }
    }

    fn sets_section(&self) -> Section<'_> {
        let items = self.sets.iter().map(|(slot, set)| Item::Set { set: slot, ports: set.ports.clone() });
        Section { count: self.sets.count().into(), items: Box::new(items) }
    }

    fn lists_section(&self) -> Section<'_> {
        let items = self.lists.iter().map(|(slot, list)| list_item(slot, list));
        Section { count: self.lists.count().into(), items: Box::new(items) }
    }

    fn connectors_section(&self) -> Section<'_> {
        let items = self.connectors.iter().map(|(slot, connector)| connector_item(slot, connector));
        Section { count: self.connectors.count().into(), items: Box::new(items) }
    }

    fn members_section(&self) -> Section<'_> {
        let items = self.members.iter().map(|(slot, joined)| member_item(slot, joined));
        Section { count: self.members.count().into(), items: Box::new(items) }
    }

    pub(super) fn grant_items<'a>(&'a self, list: &'a List) -> impl Iterator<Item = Item> + 'a {
        self.holdings.grants_of(list).map(|held| Item::Grant {
            lsn: held.lsn,
            member: held.member,
            group: held.group,
            mask: PortMask(held.mask),
            number: held.number,
        })
    }

    fn grants_section<'a>(&'a self, list: &'a List) -> Section<'a> {
        Section { count: list.grants.into(), items: Box::new(self.grant_items(list)) }
    }
}

pub(super) fn list_item(slot: u32, list: &List) -> Item {
    let List { target, created, open, defined, policy, .. } = *list;
    Item::List { list: slot, target, created, open, defined, policy }
}

pub(super) fn connector_item(slot: u32, connector: &Connector) -> Item {
    Item::Connector {
        connector: slot,
        name: connector.name.clone(),
        incarnation: connector.incarnation,
        state: connector.state,
        identity: connector.identity,
        boot_since: connector.boot_since,
        promise_ms: connector.promise_ms,
        enforced: connector.enforced,
        sets: connector.sets,
        window_lowest: connector.window.lowest(),
    }
}

pub(super) fn member_item(slot: u32, joined: &Joined) -> Item {
    Item::Member {
        member: slot,
        connector: joined.connector,
        list: joined.list,
        joined: joined.joined,
        last_group: joined.last_group,
    }
}

fn stop_section<'a>(stop: Stop) -> Section<'a> {
    let Stop { cause, since, from, highest, adopted } = stop;
    let item = Item::Stop { cause, since, from, highest, adopted };
    Section { count: 1, items: Box::new(std::iter::once(item)) }
}

fn window_section(slot: u32, connector: &Connector) -> Section<'_> {
    let items = connector.window.iter().map(move |(number, executed)| Item::Window {
        connector: slot,
        number,
        hash: executed.hash,
        first: executed.first,
        count: executed.count.get(),
    });
    Section { count: connector.window.executed().into(), items: Box::new(items) }
}

pub(super) fn quarantine_items(slot: u32, list: &List) -> impl Iterator<Item = Item> {
    list.queue.iter().map(move |resting| Item::Quarantine {
        lsn: resting.lsn,
        list: slot,
        group: resting.group,
        mask: PortMask(resting.mask),
        connector: resting.connector,
        boot_since: resting.boot_since,
        from: resting.from,
    })
}

fn quarantine_section(slot: u32, list: &List) -> Section<'_> {
    Section { count: list.queue.len() as u64, items: Box::new(quarantine_items(slot, list)) }
}
