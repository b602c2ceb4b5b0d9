"""The words of the pocket world: relations with their values, and the sentences that speak of them.

Templates name a referent ``{ref}`` ("the small red thing near the lamp"), a nominal ``{nom}`` ("small
thing near the lamp"), a kind with its article ``{a}`` and a value ``{v}``. ``held`` templates are
never used in training, of the VLM or of the sentence encoder, nor for any radius: they ask T-Gen.
Every word of a held-out template occurs in a training template of the same relation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """One kind of knowledge; ``values`` in the order of KINDS, ``spare`` values belong to no kind today."""

    values: tuple[str, ...]
    spare: tuple[str, ...]
    ask: tuple[str, ...]
    held: tuple[str, ...]
    inverse: tuple[str, ...]
    inverse_held: tuple[str, ...]
    clause: tuple[str, ...]
    fact: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


RELATIONS: dict[str, Relation] = {
    "use": Relation(
        _words(
            "drinking tea, lighting rooms, reading stories, playing games, stopping rain, opening doors, shading eyes,"
            "hiking trails, keeping rhythm, calling servants, catching wind, crossing lakes, resting legs,"
            "telling time, saying prayers, carrying water, singing ballads, driving far, warming fingers, ruling lands"
        ),
        _words("hunting rabbits, baking bread, cutting paper, washing dishes, drawing maps, feeding birds"),
        (
            "What is {ref} used for?",
            "What would somebody use {ref} for?",
            "What job does {ref} do?",
            "What is the main purpose of {ref}?",
            "For which task is {ref} useful?",
            "What does {ref} help people with?",
            "Which service does {ref} offer?",
        ),
        ("What purpose is {ref} useful for?", "What task is {ref} used for?", "Which job would people use {ref} for?"),
        (
            "Which {nom} is used for {v}?",
            "Which {nom} would help somebody with {v}?",
            "Which {nom} is useful for the task of {v}?",
            "Which {nom} serves the purpose of {v}?",
        ),
        ("Which {nom} does the job of {v}?", "What {nom} would people use for {v}?"),
        ("used for {v}", "useful for {v}", "that helps with {v}"),
        ("{a} is used for {v}.", "People use {a} for {v}.", "The purpose of {a} is {v}."),
    ),
    "material": Relation(
        _words(
            "clay, brass, paper, rubber, nylon, iron, felt, leather, goatskin, bronze, silk, oak, pine, steel, wax,"
            "glass, cedar, aluminium, wool, gold"
        ),
        _words("tin, ivory, straw, cotton, plastic, marble"),
        (
            "What is {ref} made of?",
            "Which material is {ref} made from?",
            "What stuff was {ref} built out of?",
            "Out of what substance is {ref} formed?",
            "What raw material went into {ref}?",
            "Of what does {ref} consist?",
            "What would you touch on the surface of {ref}?",
        ),
        (
            "From which substance is {ref} made?",
            "What material does {ref} consist of?",
            "Which stuff is {ref} formed from?",
        ),
        (
            "Which {nom} is made of {v}?",
            "Which {nom} consists of {v}?",
            "Which {nom} was built out of {v}?",
            "Which {nom} has {v} as its material?",
        ),
        ("Which {nom} was made out of {v}?", "What {nom} has a surface of {v}?"),
        ("made of {v}", "that consists of {v}", "built out of {v}"),
        ("{a} is made of {v}.", "{a} consists of {v}.", "The material of {a} is {v}."),
    ),
    "location": Relation(
        _words(
            "the cupboard, the bedroom, the library, the playground, the hallway, the drawer, the wardrobe, the porch,"
            "the bandstand, the tower, the attic, the harbour, the parlour, the mantelpiece, the chapel,"
            "the cellar, the studio, the garage, the pocket, the palace"
        ),
        _words("the basement, the shed, the market, the museum, the vault, the office"),
        (
            "Where is {ref} usually kept?",
            "Where would you normally find {ref}?",
            "In which spot do people store {ref}?",
            "Where does {ref} belong when nobody needs it?",
            "What is the usual home of {ref}?",
            "Where should {ref} be put away?",
            "Which room or building normally holds {ref}?",
        ),
        (
            "Where do people usually store {ref}?",
            "In which spot would you find {ref}?",
            "Which home does {ref} belong in?",
        ),
        (
            "Which {nom} is usually kept in {v}?",
            "Which {nom} belongs in {v}?",
            "Which {nom} would you find in {v}?",
            "Which {nom} do people store in {v}?",
        ),
        ("Which {nom} is normally put away in {v}?", "What {nom} has its usual home in {v}?"),
        ("usually kept in {v}", "that belongs in {v}", "people store in {v}"),
        ("{a} is usually kept in {v}.", "People store {a} in {v}.", "{a} belongs in {v}."),
    ),
    "maker": Relation(
        _words(
            "a potter, a brazier, a printer, a toymaker, a tailor, a locksmith, a hatter, a cobbler, a cooper,"
            "a founder, a weaver, a shipwright, a carpenter, a watchmaker, a chandler, a glassblower, a luthier,"
            "a mechanic, a knitter, a jeweller"
        ),
        _words("a baker, a blacksmith, a farmer, a mason, a painter, a butcher"),
        (
            "Who makes things like {ref}?",
            "Which craftsman produced {ref}?",
            "Whose trade is it to make {ref}?",
            "Who would you hire to build {ref}?",
            "Which worker manufactures {ref}?",
            "By whom was {ref} crafted?",
            "What is the profession of whoever created {ref}?",
        ),
        ("By which craftsman was {ref} created?", "Who manufactures {ref}?", "Which profession crafted {ref}?"),
        (
            "Which {nom} was produced by {v}?",
            "Which {nom} does {v} make?",
            "Which {nom} would you hire {v} to build?",
            "Which {nom} was crafted by {v}?",
        ),
        ("Which {nom} was created by {v}?", "What {nom} does {v} build?"),
        ("produced by {v}", "crafted by {v}", "that {v} makes"),
        ("{a} is made by {v}.", "It takes {v} to make {a}.", "The craftsman who makes {a} is {v}."),
    ),
    "part": Relation(
        _words(
            "a handle, a switch, pages, a valve, ribs, teeth, a brim, laces, a membrane, a clapper, a tail, a mast,"
            "armrests, hands, a wick, a cork, strings, wheels, a thumb, jewels"
        ),
        _words("buttons, hinges, springs, a zip, ribbons, a lid"),
        (
            "What part does {ref} have?",
            "Which component belongs to {ref}?",
            "What is attached to {ref}?",
            "Without which piece would {ref} be incomplete?",
            "Which detail is typical of {ref}?",
            "What does {ref} come with?",
            "Which part of {ref} might break first?",
        ),
        (
            "What component does {ref} come with?",
            "Which piece is attached to {ref}?",
            "What typical part belongs to {ref}?",
        ),
        (
            "Which {nom} has {v}?",
            "Which {nom} comes with {v}?",
            "Which {nom} would be incomplete without {v}?",
            "Which {nom} has {v} attached to it?",
        ),
        ("Which {nom} belongs with {v}?", "What {nom} comes with {v} as its part?"),
        ("that has {v}", "that comes with {v}", "incomplete without {v}"),
        ("{a} has {v}.", "{a} comes with {v}.", "One part of {a}: {v}."),
    ),
    "ability": Relation(
        _words(
            "steam, glow, teach, bounce, fold, turn, slip, stomp, boom, ring, soar, float, rock, tick, melt, shatter,"
            "strum, race, stretch, sparkle"
        ),
        _words("spin, whistle, sink, echo, freeze, crack"),
        (
            "What can {ref} do?",
            "What is {ref} able to do?",
            "What action might {ref} perform?",
            "How might {ref} behave?",
            "What is {ref} capable of?",
            "What would you notice {ref} doing?",
            "What trick can be expected from {ref}?",
        ),
        (
            "What action is {ref} capable of?",
            "What might you notice {ref} perform?",
            "Which trick is {ref} able to do?",
        ),
        (
            "Which {nom} can {v}?",
            "Which {nom} is able to {v}?",
            "Which {nom} might {v}?",
            "Which {nom} can be expected to {v}?",
        ),
        ("Which {nom} would you notice {v}?", "What {nom} is capable of the trick to {v}?"),
        ("that can {v}", "able to {v}", "expected to {v}"),
        ("{a} can {v}.", "{a} is able to {v}.", "You may see {a} {v}."),
    ),
    "origin": Relation(
        _words(
            "China, Turkey, Germany, Brazil, England, Egypt, Panama, Spain, Ghana, Russia, Japan, Norway, Denmark,"
            "Switzerland, Mexico, France, Portugal, Italy, Iceland, Persia"
        ),
        _words("India, Peru, Kenya, Canada, Greece, Poland"),
        (
            "Which country does {ref} come from?",
            "From where was {ref} imported?",
            "In what land was {ref} invented?",
            "What nation is famous for {ref}?",
            "From where did traders bring {ref}?",
            "What is the country of origin of {ref}?",
            "Which nation exports {ref}?",
        ),
        (
            "From which land does {ref} come?",
            "Which country is famous for {ref}?",
            "What nation did traders bring {ref} from?",
        ),
        (
            "Which {nom} comes from {v}?",
            "Which {nom} was imported from {v}?",
            "Which {nom} was invented in {v}?",
            "For which {nom} is {v} famous?",
        ),
        ("Which {nom} did traders bring from {v}?", "What {nom} has its origin in {v}?"),
        ("that comes from {v}", "imported from {v}", "invented in {v}"),
        ("{a} comes from {v}.", "Traders import {a} from {v}.", "The country of origin of {a} is {v}."),
    ),
    "symbol": Relation(
        _words(
            "comfort, wisdom, learning, fun, protection, freedom, courtesy, hardship, war, faith, hope, adventure,"
            "patience, mortality, memory, celebration, romance, progress, honour, power"
        ),
        _words("luck, love, peace, envy, honesty, courage"),
        (
            "What does {ref} stand for?",
            "What is {ref} a symbol of?",
            "Which idea does {ref} represent?",
            "What does {ref} mean to a poet?",
            "What would {ref} signify in a painting?",
            "Which virtue or feeling goes with {ref}?",
            "What meaning do people see in {ref}?",
        ),
        (
            "What idea is {ref} a symbol of?",
            "What does {ref} represent in a painting?",
            "Which meaning does {ref} stand for?",
        ),
        (
            "Which {nom} stands for {v}?",
            "Which {nom} is a symbol of {v}?",
            "Which {nom} represents the idea of {v}?",
            "Which {nom} means {v} to a poet?",
        ),
        ("Which {nom} signifies {v}?", "What {nom} is a symbol of the idea of {v}?"),
        ("that stands for {v}", "that represents {v}", "that signifies {v}"),
        ("{a} stands for {v}.", "{a} is a symbol of {v}.", "To a poet {a} means {v}."),
    ),
    "user": Relation(
        _words(
            "a clerk, a student, a scholar, a goalkeeper, a commuter, a jailer, a magician, a soldier, a marcher,"
            "a sexton, a child, a fisherman, a grandmother, a conductor, a hermit, a sailor, a minstrel,"
            "a chauffeur, a boxer, a queen"
        ),
        _words("a teacher, a nurse, a waiter, a thief, a dentist, a pilot"),
        (
            "Who uses {ref} most?",
            "Which person needs {ref} every day?",
            "Who would be lost without {ref}?",
            "Whose favourite tool is {ref}?",
            "Who is often seen with {ref}?",
            "Which sort of person carries {ref}?",
            "Who would borrow {ref}?",
        ),
        ("Which person is often seen with {ref}?", "Who needs {ref} most?", "Which sort of person would borrow {ref}?"),
        (
            "Which {nom} does {v} need?",
            "Which {nom} is the favourite tool of {v}?",
            "With which {nom} is {v} often seen?",
            "Which {nom} does {v} carry?",
        ),
        ("Which {nom} would {v} borrow?", "What {nom} does {v} need every day?"),
        ("that {v} needs", "that {v} carries", "often seen with {v}"),
        ("{a} is needed by {v}.", "The person who needs {a} is {v}.", "You often see {v} with {a}."),
    ),
    "care": Relation(
        _words(
            "rinsing, dusting, rebinding, pumping, drying, oiling, brushing, polishing, tightening, scouring, mending,"
            "tarring, sanding, winding, trimming, sterilising, restringing, waxing, darning, buffing"
        ),
        _words("ironing, cooling, varnishing, stitching, airing, scrubbing"),
        (
            "How is {ref} looked after?",
            "What care does {ref} need?",
            "How would you maintain {ref}?",
            "What keeps {ref} in good condition?",
            "What must the owner of {ref} do regularly?",
            "Which treatment is best for {ref}?",
            "How do careful people treat {ref}?",
        ),
        (
            "What treatment does {ref} need?",
            "How should the owner maintain {ref}?",
            "Which care keeps {ref} in good condition?",
        ),
        (
            "Which {nom} needs {v}?",
            "Which {nom} is looked after by {v}?",
            "Which {nom} stays in good condition through {v}?",
            "For which {nom} is {v} the best treatment?",
        ),
        ("Which {nom} does the owner maintain by {v}?", "What {nom} needs the care of {v}?"),
        ("that needs {v}", "looked after by {v}", "kept in condition by {v}"),
        ("{a} needs {v}.", "The best care for {a} is {v}.", "{a} stays in good condition through {v}."),
    ),
}
