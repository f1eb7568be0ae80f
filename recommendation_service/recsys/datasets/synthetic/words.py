"""The words of the synthetic world: sectors, their niches, and how a startup talks of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Niche:
    """What a group of similar startups makes, for whom, and to what end. The first tag is its own."""

    tags: tuple[str, ...]
    products: tuple[str, ...]
    customers: tuple[str, ...]
    outcomes: tuple[str, ...]


def _niche(tags: str, products: str, customers: str, outcomes: str) -> Niche:
    return Niche(*(tuple(text.split("; ")) for text in (tags, products, customers, outcomes)))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SECTORS: dict[str, tuple[Niche, ...]] = {
    "Fintech": (
        _niche(
            "payments; fintech; api",
            "a payment API; one-click checkout; a payment orchestration layer",
            "online merchants; marketplaces; subscription businesses",
            "accept every local payment method; lose fewer sales at the till; settle in minutes",
        ),
        _niche(
            "lending; fintech; credit",
            "revenue-based loans; an underwriting engine; working-capital credit lines",
            "small retailers; freelancers; seasonal businesses",
            "borrow against future sales; get a decision in an hour; bridge slow months",
        ),
        _niche(
            "accounting; fintech; automation",
            "bookkeeping software; an invoice inbox; a month-end close assistant",
            "finance teams; accountants; agencies",
            "close the books in two days; stop typing invoices; see cash before it moves",
        ),
        _niche(
            "investing; fintech; consumer",
            "fractional investing; a savings app; a portfolio advisor",
            "first-time investors; young families; expatriates",
            "start with five euros; understand every fee; save without thinking of it",
        ),
    ),
    "Health": (
        _niche(
            "telemedicine; health; consumer",
            "video visits; a digital clinic; an on-call nurse service",
            "rural patients; busy parents; chronic patients",
            "see a doctor the same day; renew prescriptions at home; avoid the waiting room",
        ),
        _niche(
            "diagnostics; health; biotech",
            "a blood-test panel; a point-of-care assay; early cancer screening",
            "hospitals; laboratories; general practitioners",
            "find disease years earlier; have results in twenty minutes; test without a needle",
        ),
        _niche(
            "mental-health; health; wellness",
            "guided therapy; a sleep program; a burnout check-in",
            "employers; students; new mothers",
            "talk to a therapist this week; sleep through the night; notice stress in time",
        ),
        _niche(
            "medical-records; health; data",
            "a patient record platform; clinical documentation; a referral network",
            "clinics; physicians; insurers",
            "write notes while they talk; share records safely; stop sending faxes",
        ),
    ),
    "Climate": (
        _niche(
            "solar; climate; energy",
            "rooftop solar plans; a panel inspection drone; community solar shares",
            "home owners; housing associations; installers",
            "halve the power bill; find a broken panel from the air; own a share of the sun",
        ),
        _niche(
            "carbon-accounting; climate; compliance",
            "carbon accounting; supplier emission reports; a climate disclosure suite",
            "manufacturers; listed companies; food brands",
            "report scope 3 without spreadsheets; pass the audit; find the worst supplier",
        ),
        _niche(
            "energy-storage; climate; hardware",
            "grid batteries; a home battery; a thermal storage unit",
            "utilities; factories; wind farms",
            "keep the lights on; sell power at the peak; store heat for winter",
        ),
        _niche(
            "circular-economy; climate; marketplace",
            "a marketplace for used parts; reusable packaging; textile recycling",
            "fashion labels; builders; grocery chains",
            "throw nothing away; buy certified used goods; close the loop",
        ),
    ),
    "Developer tools": (
        _niche(
            "observability; developer-tools; infrastructure",
            "tracing and logs; an incident assistant; a cost-aware metrics store",
            "platform teams; site reliability engineers; backend engineers",
            "find the cause before the pager rings twice; pay less for logs; see every request",
        ),
        _niche(
            "testing; developer-tools; automation",
            "browser tests that mend themselves; a test data generator; a code review agent",
            "quality engineers; mobile teams; startups without testers",
            "ship on Fridays; stop flaky tests; catch the bug before the merge",
        ),
        _niche(
            "databases; developer-tools; open-source",
            "a serverless database; an open-source vector index; schema migrations without downtime",
            "application developers; data engineers; game studios",
            "scale to zero; branch data like code; search a billion vectors",
        ),
        _niche(
            "devsecops; developer-tools; security",
            "a dependency scanner; secrets management; a signed build pipeline",
            "security engineers; open-source maintainers; regulated banks",
            "know what you ship; rotate every key; prove where a build came from",
        ),
    ),
    "Education": (
        _niche(
            "language-learning; education; consumer",
            "conversation practice; a reading app; live language clubs",
            "commuters; immigrants; travellers",
            "speak from the first day; read a newspaper in six months; pass the citizenship test",
        ),
        _niche(
            "tutoring; education; marketplace",
            "on-demand tutors; a homework helper; small-group lessons",
            "pupils; parents; teachers",
            "understand maths at last; find a tutor tonight; see progress every week",
        ),
        _niche(
            "upskilling; education; careers",
            "cohort courses; a coding school; an apprenticeship platform",
            "career changers; employers; nurses",
            "learn on the job; pay after being hired; close the skills gap",
        ),
        _niche(
            "school-software; education; saas",
            "a school operating system; digital exams; a timetable planner",
            "schools; universities; kindergartens",
            "plan a year in an afternoon; mark exams twice as fast; reach every parent",
        ),
    ),
    "Food": (
        _niche(
            "restaurant-tech; food; saas",
            "a kitchen display; table ordering; staff planning",
            "restaurants; cafés; hotel kitchens",
            "turn tables faster; waste less food; fill every shift",
        ),
        _niche(
            "grocery-delivery; food; logistics",
            "ten-minute groceries; a farm box; a dark-store operating system",
            "city families; small grocers; offices",
            "have breakfast at the door; buy from the farm next door; pick an order in a minute",
        ),
        _niche(
            "alternative-protein; food; biotech",
            "mycelium steaks; cultivated fish; a precision-fermented cheese",
            "food makers; canteens; chefs",
            "cook without cattle; taste no difference; cut the cost of protein",
        ),
        _niche(
            "agritech; food; robotics",
            "weeding robots; soil sensors; a crop forecast",
            "farmers; wineries; greenhouse growers",
            "spray a tenth; water when it matters; know the harvest in June",
        ),
    ),
    "Logistics": (
        _niche(
            "freight; logistics; marketplace",
            "a freight exchange; digital customs papers; a container tracker",
            "shippers; forwarders; exporters",
            "fill empty trucks; clear customs overnight; know where the container is",
        ),
        _niche(
            "last-mile; logistics; delivery",
            "cargo-bike delivery; parcel lockers; a route planner",
            "web shops; couriers; pharmacies",
            "deliver before noon; skip the failed attempt; drive fewer kilometres",
        ),
        _niche(
            "warehouse-robotics; logistics; robotics",
            "picking robots; an inventory drone; a warehouse twin",
            "warehouse operators; third-party logistics firms; online fashion stores",
            "pick through the night; count stock without closing; pack twice as much",
        ),
        _niche(
            "procurement; logistics; supply-chain",
            "a purchasing desk; supplier risk alerts; spare-part sourcing",
            "buyers; machine builders; hospitals",
            "get three quotes in a day; see a shortage coming; pay the fair price",
        ),
    ),
    "Security": (
        _niche(
            "identity; security; api",
            "passwordless login; identity checks; an access review tool",
            "software companies; banks; public offices",
            "stop phishing; verify a person in seconds; know who can see what",
        ),
        _niche(
            "threat-detection; security; machine-learning",
            "a detection agent; managed response; an attack simulator",
            "security teams; mid-size companies; managed providers",
            "see the intruder on day one; answer alerts at night; rehearse the breach",
        ),
        _niche(
            "compliance; security; saas",
            "continuous compliance; a vendor questionnaire bot; an audit room",
            "cloud startups; auditors; procurement teams",
            "pass SOC 2 in weeks; answer questionnaires once; keep evidence fresh",
        ),
        _niche(
            "privacy; security; data",
            "consent management; data redaction; clean rooms",
            "publishers; advertisers; researchers",
            "share data without names; honour every deletion; learn from data nobody sees",
        ),
    ),
    "Work": (
        _niche(
            "recruiting; hr; marketplace",
            "a hiring marketplace; skill tests; an interview planner",
            "recruiters; hiring managers; staffing agencies",
            "hire in two weeks; meet people, not keywords; never chase a calendar",
        ),
        _niche(
            "payroll; hr; fintech",
            "global payroll; expense cards; a benefits wallet",
            "remote companies; people teams; works councils",
            "pay people in ninety countries; end expense reports; offer benefits people use",
        ),
        _niche(
            "collaboration; productivity; saas",
            "a shared whiteboard; meeting notes; an async video tool",
            "product teams; consultants; architects",
            "decide without a meeting; remember what was said; think together apart",
        ),
        _niche(
            "sales-automation; productivity; sales",
            "a sales copilot; a lead finder; a proposal builder",
            "sales teams; founders; distributors",
            "write to the right person; forecast honestly; send offers in minutes",
        ),
    ),
    "Commerce": (
        _niche(
            "e-commerce; retail; api",
            "a headless shop; a product feed engine; returns as a service",
            "brands; web shops; retailers",
            "sell in every channel; launch a shop in a day; turn returns into exchanges",
        ),
        _niche(
            "creator-economy; media; consumer",
            "fan memberships; a merch studio; a podcast network",
            "musicians; streamers; writers",
            "live from a thousand fans; own the audience; sell without a label",
        ),
        _niche(
            "resale; retail; marketplace",
            "resale shops for brands; a sneaker exchange; furniture rental",
            "fashion brands; collectors; students",
            "sell it a second time; trust what is used; furnish a flat for a year",
        ),
        _niche(
            "customer-support; retail; generative-ai",
            "an answering agent; a returns chatbot; voice support",
            "support teams; airlines; electronics stores",
            "answer before the coffee is cold; speak every language; leave people the hard cases",
        ),
    ),
    "Mobility": (
        _niche(
            "electric-vehicles; mobility; hardware",
            "fast chargers; battery swaps; electric vans",
            "fleets; taxi drivers; apartment buildings",
            "charge during lunch; run a fleet without diesel; share one charger fairly",
        ),
        _niche(
            "micromobility; mobility; consumer",
            "shared cargo bikes; folding scooters; a bike subscription",
            "city dwellers; campuses; municipalities",
            "leave the car at home; cross town in ten minutes; never mend a flat tyre",
        ),
        _niche(
            "autonomy; mobility; robotics",
            "driver assistance; a yard truck; a mapping fleet",
            "ports; mines; car makers",
            "move freight without a driver; map a street every day; see in fog",
        ),
        _niche(
            "travel; mobility; marketplace",
            "group trips; night-train booking; a business travel desk",
            "travellers; travel managers; festivals",
            "sleep on the way; book for forty people; see the real price",
        ),
    ),
    "Property": (
        _niche(
            "construction; proptech; robotics",
            "a site camera; modular bathrooms; a drywall robot",
            "builders; developers; site managers",
            "finish on the day promised; see mistakes before concrete sets; build with fewer hands",
        ),
        _niche(
            "rentals; proptech; marketplace",
            "flexible rentals; deposit insurance; a flat-share finder",
            "tenants; landlords; relocating staff",
            "move in without a deposit; find a flat from abroad; rent fairly",
        ),
        _niche(
            "smart-buildings; proptech; iot",
            "heating control; occupancy sensors; a lift monitor",
            "facility managers; office owners; hospitals",
            "heat only rooms in use; mend before it breaks; pass the energy rating",
        ),
        _niche(
            "mortgages; proptech; fintech",
            "digital mortgages; a valuation model; shared ownership",
            "first-time buyers; brokers; credit unions",
            "own a home in steps; know the price of every house; sign in a week",
        ),
    ),
}

SHORT_TEMPLATES = (
    "{product} for {customer}",
    "{product} that helps {customer} {outcome}",
    "We help {customer} {outcome}",
    "{product} built for {customer}",
)
OPENINGS = (
    "{name} makes {product} for {customer}.",
    "{name} builds {product} so that {customer} can {outcome}.",
    "At {name} we believe {customer} deserve better tools.",
    "{customer} should be able to {outcome}: that is why {name} exists.",
)
MIDDLES = (
    "Our {tag} platform lets them {outcome}.",
    "With {product}, they {outcome}.",
    "What took weeks is now a matter of days: they {outcome}.",
    "Based in {city}, the team has spent years in {sector} before starting up.",
)
CLOSINGS = (
    "More than {many} {customer} use it every week.",
    "Growing by word of mouth among {customer} since {year}.",
    "Now opening in new countries with {other}.",
    "Next: {other}.",
)
NAME_STARTS = _words(
    """Ada Alto Amber Arbo Astra Aura Beacon Birch Bolt Brio Cairn Calyx Cedar Civo Clar Cobalt Coral Dawn
    Delta Dune Echo Elm Ember Fable Fern Finch Fjord Flint Gale Grove Halo Harbor Hazel Helio Iris Jade
    Juno Kelp Kite Lark Lumen Lyra Maple Meri Mint Moss Nimbus Nova Oak Onda Opal Orbit Pebble Pine
    Plume Quill Reef River Rowan Sable Sage Solis Tern Willow"""
)
NAME_ENDS = _words(
    """ly io base bridge cast craft deck field flow forge gate grid hive hub kit lab lane leaf lift light
    line link loop mark mesh mind nest path pilot point port pulse scope shift sight spark stack stream
    sync track turn vault view ware wave well wise works yard"""
)
NAME_ADDITIONS = ("", *_words("One Labs Systems Co Group Studio Tech Partners Global Next"))
CITIES = (
    *(("San Francisco", "US"), ("New York", "US"), ("Boston", "US"), ("Austin", "US"), ("Seattle", "US")),
    *(("London", "GB"), ("Manchester", "GB"), ("Berlin", "DE"), ("Munich", "DE"), ("Paris", "FR")),
    *(("Lyon", "FR"), ("Amsterdam", "NL"), ("Stockholm", "SE"), ("Copenhagen", "DK"), ("Barcelona", "ES")),
    *(("Lisbon", "PT"), ("Tel Aviv", "IL"), ("Bengaluru", "IN"), ("Singapore", "SG"), ("Lagos", "NG")),
    *(("Nairobi", "KE"), ("São Paulo", "BR"), ("Mexico City", "MX"), ("Toronto", "CA")),
)
STAGES = ("idea", "pre-seed", "seed", "series-a", "series-b", "growth")
