"""`sortline demo`: the main job from end to end on a real Kafka, told step by step, with everything ended again.

`narration` tells the steps, `surroundings` starts and ends what the demo needs, `events` picks what is sent,
`outcomes` accounts for what came back, `command` is the story.
"""
