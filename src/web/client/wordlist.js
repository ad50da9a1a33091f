// 512 short words that are hard to mistake for each other; nine bits each. Their order is part of the protocol.

export const WORDS = `
  acorn actor adult agent alarm album alley amber anchor angel ankle apple april apron arch arena arrow atlas
  attic aunt autumn award baby badge bagel baker ball bamboo banana band banjo bank barn basil basket bath beach
  beaver bee bell belt bench berry bicycle bird biscuit blanket boat bone book boot bottle bowl box branch bread
  breeze brick bridge broom brother brush bubble bucket butter button cabin cable cactus cake camel camera camp
  canal candle candy canoe canyon captain carbon card carpet carrot castle cat cave cedar cellar cello chain
  chair chalk cheese cherry chess chest chicken child chorus church cider cinema circle circus city clay cliff
  clock cloud clover coach coast coat cobalt cocoa coffee coin comet compass cookie copper coral cork corner
  cotton couch county cousin crane crayon cream creek cricket crown crystal cup curtain cushion daisy dancer
  dawn deer desert desk diamond dinner dish doctor dog dolphin donkey door dragon drawer dream dress drum duck
  eagle earth easel east echo egg elbow elephant ember engine evening fabric falcon family farm father feather
  fence fern ferry festival fiddle field fig finger fire fish flag flame flower flute fog forest fork fossil
  fountain fox frog fruit garden garlic gate ginger giraffe glass globe glove goat gold goose grape grass guitar
  hammer hammock harbor hat hawk hazel heart hedge helmet heron hill honey horse hotel house iceberg igloo iron
  island ivory ivy jacket jaguar jam jar jasmine jeans jelly jewel jigsaw judge juice july june jungle kayak
  kettle key kitchen kite kitten knife koala ladder lagoon lake lamb lamp lantern laptop lark lemon lens leopard
  letter library lily lime lion lizard llama lobster locket lotus lunch magnet maple marble march market meadow
  medal melon mercury metal meteor milk mill mint mirror mitten monday monkey moon morning mother mountain mouse
  museum mushroom music napkin needle nest north novel nurse nutmeg oak oasis oat ocean octopus office olive
  onion opal opera orange orbit orchard orchid organ otter owl oxygen oyster paddle page paint palace palm panda
  panther paper parade parcel park parrot pasta path peach peanut pear pearl pebble pelican pencil penguin
  pepper piano picnic pigeon pillow pilot pine pirate planet plate plum pocket poem pond pony poppy port potato
  prairie prince pumpkin puppet puppy puzzle python quail quarry quartz queen quilt rabbit radio radish raft
  rain raven ribbon rice ring river robin robot rocket roof room rooster rope rose ruby rug sail salad salmon
  salt sand sandal saturn scarf school scooter sea season seed shadow shark sheep shell ship shirt shoe shovel
  silk silver singer sister skate sky sled smoke snail snow soap sock sofa south spade sparrow spider spinach
  spoon spring squirrel stable star statue stone storm stove straw street sugar suitcase summer sun swan sweater
  table tailor tango tea teacher temple tent theater thimble thunder tiger timber toast tomato torch tower
  tractor train tree trumpet tulip tunnel turkey turnip turtle uncle unicorn valley vanilla velvet village vine
  violet violin volcano wagon walnut walrus water wave weather west whale wheat wheel whistle willow window wine
  winter wolf wool yacht yogurt zebra zipper
`.trim().split(/\s+/);
