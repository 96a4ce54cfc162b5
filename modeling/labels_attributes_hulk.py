# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Label vocabularies of attribute recognition, in the column order of the release, and how often each is true.

The names are the positive phrases whose text features the release uses; a label is true where its phrase holds. For
LUPerson they are the short names of the columns, since only the phrases of one of its two halves are known.

A ratio is the number of positives divided by the size of the training set (0..1), a constant of the official recipe
that balances the loss. In the joint task that size is the one of all five sets together, hence the small numbers.

A joint task has several label spaces side by side. `..._LABEL_SPACES` gives each one's columns as (begin, end), end
excluded, and its labels carry the name of the space, because the same phrase occurs in several.
"""

# fmt: off
RAPV2_LABELS = (
    "with a bald head", "with long hair", "with black hair", "with a hat", "with glasses", "with a shirt",
    "with a sweater", "with a vest", "with a t-shirt", "with cotton", "with a jacket", "with formal wear",
    "with tight clothes", "with short sleeves", "with other upper-body clothing", "with long trousers", "with a skirt",
    "with a short skirt", "with a dress", "with jeans", "with tight trousers", "with leather shoes",
    "with sport shoes", "with boots", "with cloth shoes", "with casual shoes", "with other shoes", "with a backpack",
    "with a shoulder bag", "with a handbag", "with a box", "with a plastic bag", "with a paper bag",
    "with a hand trunk", "with other attachments", "age less than or equal to 16", "age between 17 and 30",
    "age between 31 and 45", "age between 46 and 60", "female", "with excess body fat", "with normal body shape",
    "with thin body shape", "is a customer", "is an employee", "calling", "talking", "gathering", "holding something",
    "pushing something", "pulling something", "carrying something in arms", "carrying something in hands",
    "performing other actions",
)
PA100K_LABELS = (
    "with a hat", "with glasses", "with short sleeves", "with long sleeves", "with stripe upper-clothes",
    "with logo upper-clothes", "with plaid upper-clothes", "with splice upper-clothes", "with stripe lower-clothes",
    "with pattern lower-clothes", "with long coat", "with long trousers", "with short trousers", "with skirt or dress",
    "with boots", "with a handbag", "with a shoulder bag", "with a backpack", "hold objects in front",
    "age greater than 60", "age between 18 and 60", "age less than 18", "female", "in the front position",
    "in the side position", "in the back position",
)
# The release gives Parse27k the first phrases of RAPv2. The data set's own list differs, and nothing published says
# which column holds which of its attributes: these names may not say what the columns mean.
PARSE27K_LABELS = RAPV2_LABELS[:44]
# False stands for a dress (20), long lower body clothing (21) and long sleeves (22).
MARKET_LABELS = (
    "with a backpack", "with a bag", "with a handbag", "with black lower-clothes", "with blue lower-clothes",
    "with brown lower-clothes", "with gray lower-clothes", "with green lower-clothes", "with pink lower-clothes",
    "with purple lower-clothes", "with white lower-clothes", "with yellow lower-clothes", "with black upper-clothes",
    "with blue upper-clothes", "with green upper-clothes", "with gray upper-clothes", "with purple upper-clothes",
    "with red upper-clothes", "with white upper-clothes", "with yellow upper-clothes", "with pants",
    "with short lower body clothing", "with short upper body clothing", "with long hair", "with a hat", "female",
    "a young person", "a teenager", "an adult", "an old person",
)
# "T-skirt" is how the release spells the T-shirt whose text feature it uses.
HARDHC_LABELS = (
    "male", "with long hair", "with sunglass", "with a hat", "with T-skirt", "with long sleeves",
    "with formal clothes", "with short trousers", "with jeans", "with long pants", "with skirt", "with face mask",
    "with logo clothes", "with stripe clothes",
)
# The phrase table of the release says "without a bag" for "bag" (46), against the name of the column.
LUPERSON_LABELS = (
    "female", "age less than or equal to 6", "age between 7 and 18", "age between 19 and 65",
    "age greater than or equal to 66", "long sleeves", "long trousers", "skirt", "coat pattern pure",
    "coat pattern stripe", "coat pattern design", "coat pattern joint", "coat pattern lattice", "trouser colour black",
    "trouser colour white", "trouser colour gray", "trouser colour red", "trouser colour yellow",
    "trouser colour blue", "trouser colour green", "trouser colour purple", "trouser pattern pure",
    "trouser pattern stripe", "trouser pattern design", "trouser pattern joint", "trouser pattern lattice", "hat",
    "jacket", "sweater", "long coat", "shirt", "dress", "business suit", "coat colour black", "coat colour white",
    "coat colour gray", "coat colour red", "coat colour yellow", "coat colour blue", "coat colour green",
    "coat colour purple", "long hair", "leather shoes", "boots", "walking shoes", "sandal", "bag", "glasses", "stand",
    "sit", "lie", "stoop",
)

RAPV2_RATIOS = (
    0.00172477, 0.05791431, 0.2792891, 0.00459644, 0.01987675, 0.06484867, 0.02327336, 0.01420398, 0.06937013,
    0.03476447, 0.08533858, 0.0091179, 0.0125145, 0.02894172, 0.00816949, 0.17255632, 0.00890175, 0.00613153,
    0.00838123, 0.07975844, 0.03529381, 0.07885856, 0.06067129, 0.02532455, 0.00429207, 0.06790121, 0.02532014,
    0.00639179, 0.02070164, 0.00790041, 0.01142935, 0.00823125, 0.00310547, 0.00732696, 0.08890281, 0.00265994,
    0.12081324, 0.16404275, 0.010578, 0.09486231, 0.040896, 0.23313939, 0.02223673, 0.28135352, 0.01603462, 0.01012806,
    0.00799305, 0.01450835, 0.00697848, 0.00314958, 0.00536399, 0.00762692, 0.03982408, 0.00306577,
)
PA100K_RATIOS = (
    0.01728739, 0.0714522, 0.23161312, 0.16539257, 0.01964296, 0.0599655, 0.04277957, 0.01663895, 0.00187475,
    0.00670499, 0.0128674, 0.28255336, 0.06885843, 0.0455939, 0.00238203, 0.07344605, 0.07651623, 0.06356061,
    0.00378038, 0.00534193, 0.36698324, 0.02468052, 0.18279907, 0.14001068, 0.1169667, 0.14002832,
)
PARSE27K_RATIOS = (
    0.00080283, 0.04727897, 0.05596016, 0.00868119, 0.00850474, 0.00013234, 0.02891966, 0.0113279, 0.00466261,
    0.00932522, 0.04154444, 0.00932522, 0.00466261, 0.0113279, 0.0128277, 0.05136371, 0.05703648, 0.00839005,
    0.00951049, 0.10332735, 0.04794505, 0.01736679, 0.05591605, 0.04794505, 0.01736679, 0.05591605, 0.04949779,
    0.01482155, 0.05690856, 0.04949779, 0.01482155, 0.05690856, 0.00515225, 0.00014998, 0.11592566, 0.02974014,
    0.00336131, 0.08812644, 0.00546986, 0.00292902, 0.11282902, 0.03215746, 0.00087341, 0.08819702,
)
MARKET_RATIOS = (
    0.01577436, 0.01377169, 0.00681968, 0.02183531, 0.00826654, 0.00613153, 0.0091179, 0.00096605, 0.00241732,
    0.00012792, 0.00481259, 0.00091752, 0.00754752, 0.00346277, 0.00502433, 0.00635209, 0.00219676, 0.00692113,
    0.01726093, 0.00282756, 0.04876553, 0.03532027, 0.05422657, 0.01836813, 0.00129247, 0.0237233, 0.00093958,
    0.04455727, 0.01074562, 0.00082048,
)
HARDHC_RATIOS = (
    0.07086552, 0.02805507, 0.0062771, 0.02825357, 0.0273978, 0.05809076, 0.00874295, 0.01927683, 0.01020305,
    0.04525424, 0.01257185, 0.00412004, 0.03352934, 0.00677998,
)
LUPERSON_RATIOS = (
    0.370539, 0.0061845, 0.0066795, 0.944573, 0.039245, 0.4686065, 0.7492855, 0.066423, 0.7882115, 0.0160645,
    0.1043025, 0.0804005, 0.011021, 0.5510935, 0.0407495, 0.114216, 0.03731, 0.0556625, 0.1852115, 0.0152485,
    0.0005085, 0.942199, 0.0148435, 0.033472, 0.00575, 0.0037355, 0.150956, 0.3741515, 0.033182, 0.0221585, 0.4213145,
    0.0517755, 0.0397455, 0.38788, 0.132127, 0.133774, 0.094784, 0.0332435, 0.1095815, 0.022316, 0.0159225, 0.2386005,
    0.19995, 0.013213, 0.7382405, 0.0485965, 0.293251, 0.082971, 0.9567325, 0.024307, 0.0035545, 0.0017515,
)
# fmt: on

_JOINT = {
    "rapv2": (RAPV2_LABELS, RAPV2_RATIOS),
    "pa100k": (PA100K_LABELS, PA100K_RATIOS),
    "parse27k": (PARSE27K_LABELS, PARSE27K_RATIOS),
    "market": (MARKET_LABELS, MARKET_RATIOS),
    "hardhc": (HARDHC_LABELS, HARDHC_RATIOS),
}
ATTRIBUTES_JOINT_LABELS = tuple(f"{space}: {label}" for space, (labels, _) in _JOINT.items() for label in labels)
ATTRIBUTES_JOINT_RATIOS = tuple(ratio for _, ratios in _JOINT.values() for ratio in ratios)
ATTRIBUTES_JOINT_LABEL_SPACES = {
    "rapv2": (0, 54),
    "pa100k": (54, 80),
    "parse27k": (80, 124),
    "market": (124, 154),
    "hardhc": (154, 168),
}
# What the loss of each column is multiplied by.
ATTRIBUTES_JOINT_WEIGHTS = {"rapv2": 0.5, "pa100k": 0.25, "parse27k": 1.0, "market": 1.0, "hardhc": 1.0}

# Two halves of one set, of the same meaning: each half has columns of its own, and text features of its own.
ATTRIBUTES_LUPERSON_LABELS = tuple(
    f"{half}: {label}" for half in ("luperson_a", "luperson_b") for label in LUPERSON_LABELS
)
ATTRIBUTES_LUPERSON_RATIOS = LUPERSON_RATIOS * 2
ATTRIBUTES_LUPERSON_LABEL_SPACES = {"luperson_a": (0, 52), "luperson_b": (52, 104)}

__all__ = [
    "ATTRIBUTES_JOINT_LABELS",
    "ATTRIBUTES_JOINT_LABEL_SPACES",
    "ATTRIBUTES_JOINT_RATIOS",
    "ATTRIBUTES_JOINT_WEIGHTS",
    "ATTRIBUTES_LUPERSON_LABELS",
    "ATTRIBUTES_LUPERSON_LABEL_SPACES",
    "ATTRIBUTES_LUPERSON_RATIOS",
    "HARDHC_LABELS",
    "HARDHC_RATIOS",
    "LUPERSON_LABELS",
    "LUPERSON_RATIOS",
    "MARKET_LABELS",
    "MARKET_RATIOS",
    "PA100K_LABELS",
    "PA100K_RATIOS",
    "PARSE27K_LABELS",
    "PARSE27K_RATIOS",
    "RAPV2_LABELS",
    "RAPV2_RATIOS",
]
