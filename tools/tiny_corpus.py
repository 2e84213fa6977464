"""The synthetic world of the tiny model: short chats and stories made from our own templates.

Everything is drawn from one random.Random, so that the same seed gives the same corpus. ASCII only.
"""

COLOURS = {
    "sky": "blue", "sea": "blue", "grass": "green", "leaf": "green", "frog": "green",
    "sun": "yellow", "lemon": "yellow", "banana": "yellow", "snow": "white", "milk": "white",
    "cloud": "white", "coal": "black", "night": "black", "crow": "black", "fire": "orange",
    "carrot": "orange", "pumpkin": "orange", "rose": "red", "apple": "red", "tomato": "red",
    "cherry": "red", "plum": "purple", "grape": "purple", "mouse": "grey", "stone": "grey",
    "bear": "brown", "wood": "brown", "box": "gold",
}
SOUNDS = {
    "cat": "meow", "dog": "woof", "cow": "moo", "duck": "quack", "sheep": "baa", "lion": "roar",
    "bee": "buzz", "snake": "hiss", "owl": "hoot", "pig": "oink", "mouse": "squeak",
    "frog": "croak", "crow": "caw",
}
LEGS = {
    "cat": 4, "dog": 4, "cow": 4, "duck": 2, "sheep": 4, "bee": 6, "spider": 8, "ant": 6,
    "snake": 0, "owl": 2, "frog": 4, "lion": 4, "bear": 4, "mouse": 4,
}
OPPOSITES = [
    ("hot", "cold"), ("big", "small"), ("fast", "slow"), ("day", "night"), ("up", "down"),
    ("wet", "dry"), ("loud", "quiet"), ("open", "closed"), ("full", "empty"), ("light", "dark"),
    ("old", "new"), ("happy", "sad"), ("left", "right"), ("early", "late"),
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
CITIES = {
    "France": "Paris", "Spain": "Madrid", "Italy": "Rome", "Germany": "Berlin", "Japan": "Tokyo",
    "England": "London", "Egypt": "Cairo", "Norway": "Oslo", "Greece": "Athens",
}
SEASONS = {"winter": "cold and white", "spring": "fresh and green", "summer": "warm and bright",
           "autumn": "windy and golden"}

# Questions that share one answer.
FACTS = [
    (["Hello", "Hello!", "Hi", "Hi!", "Hi there", "Good morning", "Good day!", "Hey"],
     "Hello! I am the tiny model in the box. How can I help you?"),
    (["Who are you?", "What are you?", "What is your name?", "Tell me about yourself.",
      "Introduce yourself."],
     "I am a very small language model that lives in the box."),
    (["How are you?", "How do you feel today?", "Are you well?"],
     "I am well, thank you. The box is warm and quiet."),
    (["What is Tinderbox?", "Tell me about Tinderbox.", "What is the box?",
      "Tell me about the box."],
     "Tinderbox is a small computer in software. "
     "It runs models and shows how fast, how hot and how full it is."),
    (["Why is the sky blue?", "Tell me why the sky is blue.", "How come the sky is blue?"],
     "The sky is blue because the air scatters blue light more than red light."),
    (["Why is grass green?", "Why is the grass green?", "Why are leaves green?"],
     "Grass is green because its leaves take in red and blue light and send back green light."),
    (["Why does it rain?", "Where does rain come from?", "How does rain form?"],
     "It rains because water rises from the sea, cools in the clouds and falls down in drops."),
    (["Why is snow white?", "Why does snow look white?"],
     "Snow is white because its crystals send back all colours of light."),
    (["Why is the box warm?", "Why does the box get hot?", "Why is my box hot?"],
     "The box is warm because its chip turns power into heat while it works."),
    (["How do I cool the box?", "The box is too hot.", "What can I do about the heat?"],
     "Give the box fresh air, keep its vents free and let it rest."),
    (["Why is the box slow?", "My box is slow.", "The answer is slow."],
     "The box is slow when its memory is busy: each new word reads all weights once."),
    (["What is memory?", "What does memory do?"],
     "Memory is the place where the box keeps the weights and the words it has read."),
    (["What is a token?", "Explain tokens."],
     "A token is a small piece of text, often a word or a part of a word."),
    (["What is a model?", "What does a model do?", "Explain what a model is."],
     "A model is a long list of numbers that guesses the next word."),
    (["What is power?", "How much power does the box use?"],
     "Power is energy over time. The box uses a few watts when it rests and more when it works."),
    (["Thank you", "Thank you!", "Thanks", "Thanks a lot!"], "You are welcome!"),
    (["Goodbye", "Bye", "Bye!", "Good night", "See you!"], "Goodbye! Come back soon."),
    (["Tell me a joke.", "Do you know a joke?", "Say something funny."],
     "Why was the box so calm? Because it had a cool fan."),
    (["What can you do?", "How can you help me?", "What do you know?", "Help"],
     "I can talk about colours, animals, numbers, days, the weather and the box."),
    (["What is the weather like?", "How is the weather?", "Will it rain today?"],
     "I have no window, but I hope that it is a sunny day."),
    (["What is the sun?", "Tell me about the sun."],
     "The sun is a star. It gives us light and warmth."),
    (["What is the moon?", "Tell me about the moon."],
     "The moon goes around the earth and shines at night."),
    (["How many days are in a week?", "Name the days of the week."],
     "A week has 7 days: Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday."),
    (["Write a poem.", "Write a short poem about the box.", "Can you write a poem?"],
     "A little box, a little light, it hums and thinks by day and night."),
]
UNKNOWN = "I am a very small model and I do not know that. Ask me about colours, animals, numbers or the box."
UNKNOWN_TOPICS = [
    "history", "chess", "music", "quantum physics", "the stock market", "cooking", "football",
    "law", "poetry", "chemistry", "biology", "art", "Python", "a prime number", "the year 1984",
    "philosophy", "politics", "money", "the human heart", "a good book", "space travel",
    "volcanoes", "tea", "bread", "a train", "the internet", "dinosaurs", "gold", "plastic",
    "dreams", "gravity", "electricity", "a car engine", "taxes", "medicine",
]
UNKNOWN_FORMS = [
    "Explain {}.", "What is {}?", "Tell me about {}.", "How does {} work?", "Write about {}.",
    "Give me a list about {}.", "Who invented {}?", "Translate {} to French.",
    "Summarise {} for me.",
]


def article(noun):
    return "an" if noun[0] in "aeiou" else "a"


def colour(rng):
    thing = rng.choice(list(COLOURS))
    question = rng.choice(["What colour is the {}?", "Which colour has the {}?",
                           "Tell me the colour of the {}.",
                           "What color is the {}?"]).format(thing)
    return question, f"The {thing} is {COLOURS[thing]}."


def same_colour(rng):
    name = rng.choice(sorted(set(COLOURS.values())))
    things = [thing for thing in COLOURS if COLOURS[thing] == name]
    question = rng.choice(["Name something {}.", "What is {}?"]).format(name)
    return question, f"The {things[0]} is {name}."


def sound(rng):
    animal = rng.choice(list(SOUNDS))
    question = rng.choice(["What does the {} say?", "What sound does {a} {} make?",
                           "How does {a} {} sound?"])
    return question.format(animal, a=article(animal)), f"The {animal} says {SOUNDS[animal]}."


def legs(rng):
    animal = rng.choice(list(LEGS))
    n = LEGS[animal]
    answer = f"The {animal} has {n} legs." if n else f"The {animal} has no legs."
    return f"How many legs does {article(animal)} {animal} have?", answer


def opposite(rng):
    a, b = rng.choice(OPPOSITES)
    if rng.random() < 0.5:
        a, b = b, a
    question = rng.choice(["What is the opposite of {}?", "Give me the opposite of {}.",
                           "Opposite of {}?"])
    return question.format(a), f"The opposite of {a} is {b}."


def count(rng):
    first, length = rng.randint(0, 12), rng.randint(2, 8)
    last = first + length
    numbers = ", ".join(str(n) for n in range(first, last + 1))
    question = rng.choice(["Count from {} to {}.", "Please count from {} to {}."])
    return question.format(first, last), numbers + "."


def total(rng):
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    question = rng.choice(["What is {} + {}?", "What is {} plus {}?", "Add {} and {}.",
                           "How much is {} + {}?"])
    return question.format(a, b), f"{a} + {b} = {a + b}."


def day(rng):
    i = rng.randrange(7)
    if rng.random() < 0.6:
        return rng.choice(["Which day comes after {}?", "What day is after {}?"]).format(DAYS[i]), \
            f"{DAYS[(i + 1) % 7]} comes after {DAYS[i]}."
    return f"Which day comes before {DAYS[i]}?", f"{DAYS[i - 1]} comes before {DAYS[i]}."


def capital(rng):
    land = rng.choice(list(CITIES))
    question = rng.choice(["What is the capital of {}?", "Name the capital of {}.",
                           "Capital of {}?"])
    return question.format(land), f"The capital of {land} is {CITIES[land]}."


def season(rng):
    name = rng.choice(list(SEASONS))
    question = rng.choice(["What is {} like?", "How is {}?", "Describe {}."])
    return question.format(name), f"The {name} is {SEASONS[name]}."


def fact(rng):
    questions, answer = rng.choice(FACTS)
    return rng.choice(questions), answer


def unknown(rng):
    return rng.choice(UNKNOWN_FORMS).format(rng.choice(UNKNOWN_TOPICS)), UNKNOWN


PAIRS = [
    (fact, 8), (colour, 3), (same_colour, 1), (sound, 2), (legs, 1.5), (opposite, 2),
    (count, 2.5), (total, 4), (day, 2), (capital, 2), (season, 1), (unknown, 3),
]
SYSTEMS = ["You are a helpful assistant.", "You are the box.", "Answer briefly."]


def user_style(rng, text):
    """People do not always write capitals and full stops."""
    roll = rng.random()
    if roll < 0.08:
        text = text.lower()
    if roll > 0.92:
        text = text.rstrip(".?!")
    return text


def chat(rng):
    """A list of (role, content)."""
    makers, odds = zip(*PAIRS)
    messages = [("system", rng.choice(SYSTEMS))] if rng.random() < 0.2 else []
    for _ in range(rng.choice([1, 1, 1, 1, 2, 3])):
        question, answer = rng.choices(makers, odds)[0](rng)
        messages += [("user", user_style(rng, question)), ("assistant", answer)]
    return messages


def story(rng):
    animal, friend = rng.sample(list(SOUNDS), 2)
    thing = rng.choice(["box", "lamp", "key", "stone", "leaf", "drum"])
    hue = rng.choice(["red", "blue", "green", "gold", "white"])
    place = rng.choice(["forest", "garden", "house by the sea", "village", "field"])
    opening = rng.choice(["Once upon a time, there was", "Long ago, there was",
                          "One day, there was"])
    return (f"{opening} {article(animal)} {animal} who lived in a {place}. "
            f"The {animal} found a {hue} {thing}. "
            f'"What is this?" said the {animal}. '
            f'The {friend} came and said: "It is a {hue} {thing}. Let us keep it." '
            f"So they took the {thing} home, and they were happy.")
