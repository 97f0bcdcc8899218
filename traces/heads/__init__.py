"""Where viewers of 360-degree videos looked: recordings, their files, and a family that generates them."""
